#include "inference/models/model_variant.hpp"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <cstdio>
#include <system_error>

#include "inference/models/model_files.hpp"
#include "lib/base/digest.hpp"

namespace imgrec {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kGraphBytesMax = 64 * kMiB;

std::unexpected<Error> bad_variant(const std::string& text) {
  return fail(ErrorKind::invalid, "bad_variant", text);
}

Result<void> check(const NewVariant& variant) {
  switch (variant.precision) {
    case Precision::f32: return bad_variant("f32 is the model itself, no variant of it.");
    case Precision::bf16:
      if (variant.graph.empty()) return {};
      return bad_variant("bf16 is computed from the model's own file: give no weights.");
    case Precision::int8:
      if (variant.graph.extension() == ".xml") return {};
      return bad_variant("An int8 variant is an OpenVINO IR: give its .xml file (the .bin file lies beside it).");
  }
  return bad_variant("There is no such precision.");
}

// Set for a model whose class names are a file beside the manifest.
bool has_label_file(const ModelEntry& entry) {
  std::error_code ignored;
  return fs::is_regular_file(entry.folder / entry.manifest.labels, ignored);
}

// Files that an interrupted publish() left, and those of the variant that was replaced. Nobody else names files so.
void remove_unused(const ModelEntry& entry) {
  std::vector<fs::path> unused;
  std::error_code error;
  for (fs::directory_iterator at(entry.folder, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    const bool is_variant_file = name.starts_with("int8") && (name.ends_with(".xml") || name.ends_with(".bin"));
    const bool used = std::ranges::any_of(entry.manifest.variants, [&](const ModelVariant& variant) {
      return std::ranges::find(variant.files, name, &VariantFile::file) != variant.files.end();
    });
    if (is_variant_file && !used && name != entry.manifest.file && name != entry.manifest.labels) {
      unused.push_back(at->path());
    }
  }
  for (const fs::path& path : unused) fs::remove(path, error);  // what stays costs only room
}

ModelManifest with_variant(ModelManifest manifest, const ModelVariant& variant) {
  std::erase_if(manifest.variants, [&](const ModelVariant& old) { return old.precision == variant.precision; });
  manifest.variants.push_back(variant);
  return manifest;
}

std::string figures(const Agreement& agreement) {
  char text[160];
  std::snprintf(text, sizeof text,
                "the same best label on %.1f %% of %d photos (top-5 overlap %.3f, mean score error %.3f)",
                100 * agreement.top1, agreement.photos, agreement.top5_overlap, agreement.score_error);
  return text;
}

}  // namespace

Result<StagedVariant> StagedVariant::make(const ModelEntry& entry, const NewVariant& variant) {
  if (entry.folder.empty()) return fail(not_installed(entry));
  if (auto ok = check(variant); !ok) return fail(ok.error());
  std::error_code error;
  const fs::path installed = fs::absolute(entry.folder, error);
  if (error) return file_error("find", entry.folder, error);
  const fs::path models = installed.parent_path() / (".variant-" + entry.manifest.name);
  fs::create_directories(models, error);
  if (error) return file_error("make the folder", models, error);
  Fd lock(::open(models.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!lock.ok()) return file_error("open", models, std::error_code(errno, std::generic_category()));
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    return fail(ErrorKind::transient, "model_busy",
                "Another process is adding a variant to " + entry.manifest.name + ". Wait for its end.");
  }
  ModelEntry absolute = entry;
  absolute.folder = installed;
  StagedVariant staged(std::move(absolute), models, std::move(lock));
  if (auto ok = staged.fill(variant); !ok) return fail(ok.error());
  return staged;
}

Result<void> StagedVariant::fill(const NewVariant& variant) {
  const fs::path folder = models_ / entry_.manifest.name;
  std::error_code error;
  fs::remove_all(folder, error);  // of a process that was killed
  fs::create_directory(folder, error);
  if (error) return file_error("make the folder", folder, error);
  fs::create_symlink(entry_.weights(), folder / entry_.manifest.file, error);
  if (!error && has_label_file(entry_)) {
    fs::create_symlink(entry_.folder / entry_.manifest.labels, folder / entry_.manifest.labels, error);
  }
  if (error) return file_error("fill", folder, error);

  variant_ = {
      .precision = variant.precision, .files = {}, .agreement = {}, .time_ratio = {}, .made_by = variant.made_by};
  if (!variant.graph.empty()) {
    const auto graph = read_file(variant.graph, kGraphBytesMax);
    if (!graph) return fail(graph.error());
    const auto weights = read_file(fs::path(variant.graph).replace_extension(".bin"), kWeightsBytesMax);
    if (!weights) return fail(weights.error());
    // A name of their own for each content: the files of the installed variant are never written to.
    const std::string graph_digest = sha256_hex(*graph), weights_digest = sha256_hex(*weights);
    const std::string stem = "int8-" + graph_digest.substr(0, 8) + weights_digest.substr(0, 8);
    variant_.files = {{.file = stem + ".xml", .sha256 = graph_digest},
                      {.file = stem + ".bin", .sha256 = weights_digest}};
    auto written = write_file_atomic(folder / variant_.files[0].file, *graph, WriteMode::replace);
    if (written) written = write_file_atomic(folder / variant_.files[1].file, *weights, WriteMode::replace);
    if (!written) return fail(written.error());
  }
  const auto written =
      write_file_atomic(folder / kManifestFile, to_json(with_variant(entry_.manifest, variant_)), WriteMode::replace);
  if (!written) return fail(written.error());
  return {};
}

StagedVariant::~StagedVariant() {
  std::error_code ignored;
  if (lock_.ok()) fs::remove_all(models_, ignored);
}

Result<ModelEntry> StagedVariant::publish(const AgreementMeter& measured, double agreement_min,
                                          std::string_view arithmetic) {
  if (measured.photos() < kAgreementPhotosMin) {
    return fail(ErrorKind::invalid, "too_few_photos",
                "An agreement measured on " + std::to_string(measured.photos()) +
                    " photos says little: give at least " + std::to_string(kAgreementPhotosMin) + ".");
  }
  Agreement agreement = measured.mean();
  agreement.arithmetic = arithmetic;
  if (!(agreement.top1 >= agreement_min)) {
    char bound[32];
    std::snprintf(bound, sizeof bound, "%.1f %%", 100 * agreement_min);
    return fail(ErrorKind::invalid, "agreement_too_low",
                std::string(to_string(variant_.precision)) + " is not published: it has " + figures(agreement) +
                    " as f32, and " + bound + " are asked for (--agreement-min). The model is as it was.");
  }
  auto current = ModelStore(entry_.folder.parent_path()).find(entry_.manifest.name);
  if (!current) return fail(current.error());
  if (current->folder.empty() || current->manifest.sha256 != entry_.manifest.sha256) {
    return fail(ErrorKind::invalid, "model_changed",
                "The model " + entry_.manifest.name + " was replaced meanwhile. Start again.");
  }
  variant_.agreement = agreement;
  variant_.time_ratio = measured.time_ratio();
  for (const VariantFile& file : variant_.files) {
    std::error_code error;
    fs::rename(models_ / entry_.manifest.name / file.file, entry_.folder / file.file, error);
    if (error) return file_error("install", entry_.folder / file.file, error);
  }
  ModelEntry published = *std::move(current);
  published.manifest = with_variant(published.manifest, variant_);
  // Syncs the folder too, so that the files are there when the manifest is.
  const auto written =
      write_file_atomic(entry_.folder / kManifestFile, to_json(published.manifest), WriteMode::replace);
  if (!written) return fail(written.error());
  remove_unused(published);
  return published;
}

}  // namespace imgrec
