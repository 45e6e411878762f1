#include "inference/models/model_store.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <system_error>

#include "inference/models/model_files.hpp"
#include "lib/base/digest.hpp"
#include "lib/base/file.hpp"
#include "lib/base/ids.hpp"
#include "lib/base/rng.hpp"
#include "lib/base/text.hpp"

namespace imgrec {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kManifestBytesMax = 64 * kKiB;
constexpr const char* kLabelFile = "labels.txt";

Result<ModelEntry> read_entry(const fs::path& folder) {
  const fs::path file = folder / kManifestFile;
  const auto json = read_file(file, kManifestBytesMax);
  if (!json) return fail(json.error());
  auto manifest = parse_manifest(*json, file);
  if (!manifest) return fail(manifest.error());
  if (manifest->name != folder.filename()) {
    return fail(ErrorKind::invalid, "bad_manifest",
                "The model manifest " + file.string() + " has another name than its folder.");
  }
  const bool built_in = find_built_in(manifest->name) != nullptr;
  return ModelEntry{.manifest = *std::move(manifest), .folder = folder, .built_in = built_in};
}

// A foreign or half-written folder is no model; a damaged manifest in one that looks like a model is an error of its
// own when the model is asked for by name, and is left out of lists.
bool is_model_folder(const fs::directory_entry& entry) {
  std::error_code ignored;
  return entry.is_directory(ignored) && check_model_name(entry.path().filename().string()) &&
         fs::exists(entry.path() / kManifestFile, ignored);
}

std::unexpected<Error> no_such_model(const std::string& name, const std::vector<ModelEntry>& known) {
  std::vector<std::string> names;
  for (const ModelEntry& entry : known) names.push_back(entry.manifest.name);
  std::string text = "There is no model " + json_quote(name) + ".";
  if (const std::string near = nearest(name, names); !near.empty()) text += " Did you mean " + near + "?";
  return fail(ErrorKind::not_found, "no_such_model", text + " `imgrec model list` shows all.");
}

bool is_lfs_pointer(const fs::path& file) {
  constexpr std::uint64_t kPointerBytesMax = 1024;
  const auto bytes = read_file(file, kPointerBytesMax);
  return bytes && bytes->starts_with("version https://git-lfs.github.com/spec/");
}

std::unexpected<Error> damaged(const fs::path& file, const std::string& wanted, const std::string& found) {
  if (is_lfs_pointer(file)) {
    return fail(ErrorKind::invalid, "model_damaged",
                file.string() +
                    " is a Git LFS pointer, not the model itself: `git lfs pull` in its repository fetches "
                    "the model.");
  }
  return fail(ErrorKind::invalid, "model_damaged",
              file.string() + " is damaged: its SHA-256 is " + found + ", it should be " + wanted +
                  ". Pull or import the model again.");
}

ModelManifest manifest_for(const ImportOptions& options, const BuiltInModel* built_in, const std::string& digest) {
  if (built_in != nullptr) return built_in->manifest;
  const ModelManifest usual;
  return {.name = options.name,
          .file = options.name + ".onnx",
          .sha256 = digest,
          .licence = options.licence,
          .source = options.file.filename().string(),
          .input_size = options.input_size.value_or(usual.input_size),
          .profile = options.profile,
          .crop = options.crop.value_or(usual.crop),
          .scaling = options.scaling,
          .channels = options.channels,
          .output_name = options.output_name,
          .output = options.output.value_or(usual.output),
          .labels = options.labels.empty() ? "imagenet-1k" : kLabelFile};
}

}  // namespace

std::unexpected<Error> file_error(const std::string& what, const fs::path& path, const std::error_code& error) {
  const std::string text = "Cannot " + what + " " + path.string() + ": " + error.message() + ".";
  if (error == std::errc::no_space_on_device)
    return fail(ErrorKind::transient, "disk_full", text + " Free some space.");
  if (error == std::errc::permission_denied || error == std::errc::read_only_file_system) {
    return fail(ErrorKind::denied, "file_unwritable", text);
  }
  return fail(ErrorKind::transient, "file_unwritable", text);
}

Result<void> make_durable(const fs::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const bool ok = fd >= 0 && ::fsync(fd) == 0;
  const std::error_code error(errno, std::generic_category());
  if (fd >= 0) ::close(fd);
  if (!ok) return file_error("write", path, error);
  return {};
}

Error not_installed(const ModelEntry& entry) {
  const BuiltInModel* known = find_built_in(entry.manifest.name);
  const bool offline = known != nullptr && known->mirrors.empty();
  const std::string command = offline ? known->prepare_command : "imgrec model pull " + entry.manifest.name;
  return {ErrorKind::not_found, "no_such_model",
          "The model " + entry.manifest.name + " is not installed yet. Get it with `" + command + "`."};
}

Result<MappedFile> map_verified(const ModelEntry& entry, const VariantFile& file) {
  const fs::path path = entry.folder / file.file;
  auto mapped = MappedFile::open(path, kWeightsBytesMax);
  if (!mapped) return mapped;
  if (const std::string found = sha256_hex(mapped->bytes()); found != file.sha256) {
    return damaged(path, file.sha256, found);
  }
  return mapped;
}

Result<StagedModel> StagedModel::make(const fs::path& folder) {
  const fs::path path = folder / (".incoming-" + random_hex(system_rng(), 8));
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return file_error("make the folder", path, error);
  return StagedModel(path);
}

StagedModel::~StagedModel() {
  std::error_code ignored;
  if (!path_.empty()) fs::remove_all(path_, ignored);
}

Result<ModelEntry> StagedModel::install(const ModelManifest& manifest) {
  if (auto ok = make_durable(path_ / manifest.file); !ok) return fail(ok.error());
  const auto written = write_file_atomic(path_ / kManifestFile, to_json(manifest), WriteMode::replace);
  if (!written) return fail(written.error());
  const fs::path folder = path_.parent_path(), target = folder / manifest.name;
  const fs::path old = folder / (".old-" + random_hex(system_rng(), 8));
  std::error_code error, ignored;
  fs::rename(target, old, error);
  const bool replaced = !error;
  if (error && error != std::errc::no_such_file_or_directory) return file_error("replace", target, error);
  fs::rename(path_, target, error);
  if (error) {
    if (replaced) fs::rename(old, target, ignored);
    return file_error("install", target, error);
  }
  path_.clear();
  if (replaced) fs::remove_all(old, ignored);
  if (auto ok = make_durable(folder); !ok) return fail(ok.error());
  return ModelEntry{.manifest = manifest, .folder = target, .built_in = find_built_in(manifest.name) != nullptr};
}

Result<std::vector<ModelEntry>> ModelStore::list() const {
  std::map<std::string, ModelEntry> models;
  for (const BuiltInModel& known : built_in_models()) {
    models[known.manifest.name] = {.manifest = known.manifest, .folder = {}, .built_in = true};
  }
  std::error_code error;
  for (fs::directory_iterator at(folder_, error), end; !error && at != end; at.increment(error)) {
    if (!is_model_folder(*at)) continue;
    if (const auto entry = read_entry(at->path())) models[entry->manifest.name] = *entry;
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return fail(error == std::errc::permission_denied ? ErrorKind::denied : ErrorKind::transient, "file_unreadable",
                "Cannot read the model folder " + folder_.string() + ": " + error.message() + ".");
  }
  std::vector<ModelEntry> entries;
  for (auto& [name, entry] : models) entries.push_back(std::move(entry));
  return entries;
}

Result<ModelEntry> ModelStore::find(const std::string& name) const {
  if (check_model_name(name)) {
    auto entry = read_entry(folder_ / name);
    if (entry || entry.error().kind != ErrorKind::not_found) return entry;
    if (const BuiltInModel* known = find_built_in(name))
      return ModelEntry{.manifest = known->manifest, .folder = {}, .built_in = true};
  }
  const auto known = list();
  if (!known) return fail(known.error());
  return no_such_model(name, *known);
}

Result<ModelEntry> ModelStore::import(const ImportOptions& options, const ImportCheck& check) {
  if (auto ok = check_model_name(options.name); !ok) return fail(ok.error());
  std::error_code ignored;
  if (!options.replace && fs::exists(folder_ / options.name / kManifestFile, ignored)) {
    return fail(ErrorKind::invalid, "model_exists",
                "There is a model " + options.name + " already. Choose another name, or replace it with --replace.");
  }
  const auto weights = read_file(options.file, kWeightsBytesMax);
  if (!weights) return fail(weights.error());
  const std::string digest = sha256_hex(*weights);
  const BuiltInModel* built_in = find_built_in(options.name);
  if (built_in != nullptr && digest != built_in->manifest.sha256) {
    return fail(ErrorKind::invalid, "wrong_checksum",
                options.file.string() + " is not " + options.name + ": its SHA-256 is " + digest + ", it should be " +
                    built_in->manifest.sha256 + ". Import it under another name.");
  }
  ModelManifest manifest = manifest_for(options, built_in, digest);
  if (check) {
    auto checked = check(*weights, manifest, options);
    if (!checked) return fail(checked.error());
    manifest = *std::move(checked);
  }
  auto staged = StagedModel::make(folder_);
  if (!staged) return fail(staged.error());
  const auto written = write_file_atomic(staged->path() / manifest.file, *weights, WriteMode::replace);
  if (!written) return fail(written.error());
  if (manifest.labels == kLabelFile) {
    const auto labels = read_file(options.labels, kWeightsBytesMax);
    if (!labels) return fail(labels.error());
    if (auto ok = write_file_atomic(staged->path() / kLabelFile, *labels, WriteMode::replace); !ok)
      return fail(ok.error());
  }
  return staged->install(manifest);
}

Result<void> ModelStore::verify(const ModelEntry& entry) const {
  if (entry.folder.empty()) return fail(not_installed(entry));
  std::vector<VariantFile> files = {{.file = entry.manifest.file, .sha256 = entry.manifest.sha256}};
  for (const ModelVariant& variant : entry.manifest.variants) {
    files.insert(files.end(), variant.files.begin(), variant.files.end());
  }
  for (const VariantFile& file : files) {
    const fs::path path = entry.folder / file.file;
    const auto found = sha256_hex_of_file(path);
    if (!found) return fail(found.error());
    if (*found != file.sha256) return damaged(path, file.sha256, *found);
  }
  return {};
}

}  // namespace imgrec
