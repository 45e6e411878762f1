// imgrec model agreement | add-variant | tensors: how far another precision answers as f32 does, and its publication.
#include <nlohmann/json.hpp>

#include <unistd.h>

#include <charconv>
#include <climits>
#include <cmath>
#include <cstdio>
#include <optional>

#include "cmd/cli/exit_code.hpp"
#include "cmd/cli/signals.hpp"
#include "cmd/cli/terminal.hpp"
#include "cmd/commands/commands.hpp"
#include "cmd/files/image_files.hpp"
#include "inference/classifier_factory.hpp"
#include "inference/models/agreement.hpp"
#include "inference/models/model_variant.hpp"
#include "lib/base/cpu.hpp"
#include "lib/base/file.hpp"
#include "lib/base/text.hpp"

namespace imgrec {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t kPhotosMax = 100'000;

double to_millionth(double value) {
  return std::round(value * 1e6) / 1e6;
}

// One photo that was answered differently.
struct Difference {
  std::string file;
  Label f32, other;
};

struct Skipped {
  std::string file;
  Error error;
};

struct Comparison {
  ModelInfo model;  // the engine, and the precision that was compared
  AgreementMeter meter;
  std::vector<Difference> different;
  std::vector<Skipped> skipped;  // photos that could not be read
};

Result<std::vector<ImageFile>> photos_in(const std::string& folder) {
  std::vector<ImageFile> files = find_image_files({folder});
  if (files.empty()) return fail(ErrorKind::not_found, "no_images", "There is no image in " + folder + ".");
  if (files.size() > kPhotosMax) {
    return fail(ErrorKind::invalid, "too_many_images",
                "There are more than " + std::to_string(kPhotosMax) + " images in " + folder + ": give fewer.");
  }
  return files;
}

// The factory owns what its classifiers share.
struct Loaded {
  ClassifierFactory factory;
  std::unique_ptr<Classifier> classifier;
};

Result<Loaded> load(const ClassifierOptions& options) {
  auto factory = make_classifier_factory(options);
  if (!factory) return fail(factory.error());
  auto classifier = (*factory)();
  if (!classifier) return fail(classifier.error());
  return Loaded{*std::move(factory), *std::move(classifier)};
}

std::vector<std::vector<std::string>> different_rows(const Comparison& compared) {
  std::vector<std::vector<std::string>> rows;
  for (const Difference& difference : compared.different) {
    char scores[64];
    std::snprintf(scores, sizeof scores, "%.3f  %.3f", difference.f32.score, difference.other.score);
    rows.push_back({printable(difference.file), scores,
                    printable(difference.f32.label) + "  ->  " + printable(difference.other.label)});
  }
  return rows;
}

// The photos that were answered the same are only counted.
void print_comparison(const Comparison& compared) {
  const Agreement mean = compared.meter.mean();
  char text[400];
  std::snprintf(text, sizeof text,
                "%s, %s, %s against f32 on %d photos\n"
                "same best label   %d of %d (%.1f %%)\n"
                "top-5 overlap     %.3f\n"
                "score error       %.4f mean, %.4f largest\n"
                "time              %.2f of that in f32 (network alone)\n",
                compared.model.name.c_str(), compared.model.engine.c_str(), compared.model.precision.c_str(),
                mean.photos, static_cast<int>(std::lround(mean.top1 * mean.photos)), mean.photos, 100 * mean.top1,
                mean.top5_overlap, mean.score_error, compared.meter.score_error_max(), compared.meter.time_ratio());
  print(text + as_columns(different_rows(compared)));
}

ordered_json difference_json(const Label& label) {
  return {{"index", label.index}, {"label", label.label}, {"score", to_millionth(label.score)}};
}

void print_json(const Comparison& compared) {
  const Agreement mean = compared.meter.mean();
  ordered_json document{{"model", compared.model.name},
                        {"sha256", compared.model.sha256},
                        {"engine", compared.model.engine},
                        {"precision", compared.model.precision},
                        {"photos", mean.photos},
                        {"top1", mean.top1},
                        {"top5_overlap", mean.top5_overlap},
                        {"score_error", mean.score_error},
                        {"score_error_max", to_millionth(compared.meter.score_error_max())},
                        {"time_ratio", compared.meter.time_ratio()},
                        {"different", ordered_json::array()},
                        {"skipped", ordered_json::array()}};
  for (const Difference& difference : compared.different) {
    document["different"].push_back({{"file", difference.file},
                                     {"f32", difference_json(difference.f32)},
                                     {"other", difference_json(difference.other)}});
  }
  for (const Skipped& skipped : compared.skipped) {
    document["skipped"].push_back({{"file", skipped.file}, {"error", skipped.error.message}});
  }
  print(document.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + "\n");
}

// Reads each photo once and has both classifiers answer. A photo that cannot be read is complained about and left out.
Result<Comparison> compare(const std::vector<ImageFile>& files, Classifier& f32, Classifier& other,
                           std::uint64_t file_bytes_max) {
  Interrupts interrupts;
  ProgressLine progress(is_terminal(STDERR_FILENO), system_clock());
  Comparison compared{.model = other.model(), .meter = {}, .different = {}, .skipped = {}};
  std::size_t done = 0;
  for (const ImageFile& file : files) {
    if (interrupts.token().stop_requested()) return fail(ErrorKind::cancelled, "interrupted", "Interrupted.");
    progress.show(std::to_string(done++) + " of " + std::to_string(files.size()) + " photos");
    Result<std::string> bytes = file.unreadable ? fail(*file.unreadable) : read_file(file.path, file_bytes_max);
    Result<Classification> wanted = bytes ? f32.classify(*bytes, INT_MAX) : fail(bytes.error());
    if (!wanted && wanted.error().code == "model_unusable") return fail(wanted.error());
    if (!wanted) {
      progress.clear();
      complain(file.path + " is left out: " + wanted.error().message);
      compared.skipped.push_back({file.path, wanted.error()});
      continue;
    }
    const Result<Classification> answer = other.classify(*bytes, INT_MAX);
    if (!answer) return fail(answer.error());
    if (auto ok = compared.meter.add(*wanted, *answer); !ok) return fail(ok.error());
    if (wanted->labels.front().index != answer->labels.front().index) {
      compared.different.push_back({file.path, wanted->labels.front(), answer->labels.front()});
    }
  }
  if (compared.meter.photos() == 0) return fail(ErrorKind::invalid, "no_images", "None of the photos could be read.");
  return compared;
}

// f32 on the engine that `options` end up with, against the precision they ask for.
Result<Comparison> compare_with_f32(const Config& config, const ClassifierOptions& options,
                                    const std::vector<ImageFile>& files) {
  const auto other = load(options);
  if (!other) return fail(other.error());
  ClassifierOptions reference = options;
  reference.engine = other->classifier->model().engine;
  reference.precision = "f32";
  const auto f32 = load(reference);
  if (!f32) return fail(f32.error());
  return compare(files, *f32->classifier, *other->classifier, config.image.bytes_max);
}

ClassifierOptions classifier_options_of(const Invocation& call) {
  ClassifierOptions options = classifier_options(call.config(), 1);
  options.model = call.arguments.front();
  options.labels = "names";
  options.cache_dir.clear();  // what is measured is compiled from the files at hand
  if (call.has("--engine")) options.engine = call.option("--engine");
  if (call.has("--precision")) options.precision = call.option("--precision");
  return options;
}

// Errors of the model or its photos, not of how the command was called.
int measured_failed(const Error& error) {
  const int code = report(error);
  return error.kind == ErrorKind::invalid ? static_cast<int>(kExitItemFailed) : code;
}

std::string_view arithmetic_of(Precision precision) {
  const ProcessorFeatures has = processor_features();
  return precision == Precision::bf16 ? bf16_arithmetic(has) : int8_arithmetic(has);
}

std::optional<double> fraction_of(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !(value >= 0 && value <= 1)) return std::nullopt;
  return value;
}

Result<void> check_words(const Invocation& call) {
  if (call.has("--precision")) {
    if (const auto precision = parse_precision(call.option("--precision")); !precision) return fail(precision.error());
  }
  const std::string engine = call.option("--engine");
  if (engine.empty() || engine == "auto" || engine == "openvino" || engine == "opencv") return {};
  return fail(ErrorKind::invalid, "bad_engine",
              "There is no engine " + json_quote(engine) + "; there are auto, openvino and opencv.");
}

int run_model_agreement(const Invocation& call) {
  if (auto ok = check_words(call); !ok) return report(ok.error());
  const auto files = photos_in(call.option("--images"));
  if (!files) return report(files.error());
  const auto compared = compare_with_f32(call.config(), classifier_options_of(call), *files);
  if (!compared) return measured_failed(compared.error());
  call.has("--json") ? print_json(*compared) : print_comparison(*compared);
  return kExitOk;
}

int run_model_add_variant(const Invocation& call) {
  if (auto ok = check_words(call); !ok) return report(ok.error());
  const auto bound = call.has("--agreement-min") ? fraction_of(call.option("--agreement-min"))
                                                 : std::optional(call.config().model.agreement_min);
  if (!bound) {
    complain("--agreement-min is a number from 0 to 1, such as 0.98.");
    return kExitUsage;
  }
  const auto files = photos_in(call.option("--images"));
  if (!files) return report(files.error());
  const auto entry = ModelStore(call.config().model.dir).find(call.arguments.front());
  if (!entry) return report(entry.error());
  const auto precision = parse_precision(call.option("--precision"));
  if (!precision) return report(precision.error());
  auto staged = StagedVariant::make(
      *entry, {.precision = *precision, .graph = call.option("--weights"), .made_by = call.option("--made-by")});
  if (!staged) return report(staged.error());
  ClassifierOptions options = classifier_options_of(call);
  options.model_dir = staged->models();
  const auto compared = compare_with_f32(call.config(), options, *files);
  if (!compared) return measured_failed(compared.error());
  const auto published = staged->publish(compared->meter, *bound, arithmetic_of(*precision));
  if (!published) return measured_failed(published.error());
  call.has("--json") ? print_json(*compared) : print_comparison(*compared);
  return kExitOk;
}

}  // namespace

Command model_agreement_command() {
  return {
      .name = "model agreement",
      .summary = "Measure how far a precision answers as f32 does, on photos",
      .arguments = "NAME",
      .arguments_min = 1,
      .arguments_max = 1,
      .settings = kModelCommand,
      .examples = {{"imgrec model agreement resnet18 --images photos/",
                    "what the service would take (--precision auto)"},
                   {"imgrec model agreement resnet18 --images photos/ --precision int8 --json", "for programs"}},
      .options = {{"--images", "DIR", "photos; more of them say more", true},
                  {"--engine", "ENGINE", "auto (default), openvino or opencv: f32 is computed by the same"},
                  {"--precision", "PRECISION", "f32, bf16 or int8; without it what auto takes"},
                  {"--json", "", "one JSON object, with the photos answered differently"}},
      .notes =
          "Prints on how many photos both have the same best label, the mean part of the five best labels that both\n"
          "have, and the mean and largest difference of the score of f32's best label. Photos that cannot be read\n"
          "are left out.",
      .run = run_model_agreement};
}

Command model_add_variant_command() {
  return {
      .name = "model add-variant",
      .summary = "Add a model's weights in another precision, if it answers as f32 does",
      .arguments = "NAME",
      .arguments_min = 1,
      .arguments_max = 1,
      .settings = kModelCommand,
      .examples = {{"imgrec model add-variant resnet18 --precision int8 --weights int8.xml --images photos/",
                    "measured on photos/, then published"},
                   {"imgrec model add-variant resnet18 --precision bf16 --images photos/",
                    "bf16 needs no weights of its own: only its agreement is kept"}},
      .options = {{"--precision", "PRECISION", "int8 or bf16", true},
                  {"--images", "DIR", "photos to measure on, 16 or more; none that it was calibrated with", true},
                  {"--weights", "FILE", "int8: OpenVINO IR, the .xml file; the .bin file lies beside it"},
                  {"--agreement-min", "FRACTION",
                   "photos with the same best label as in f32, at least; without it the setting model.agreement_min"},
                  {"--engine", "ENGINE", "the engine to measure with: auto (default), openvino or opencv"},
                  {"--made-by", "TEXT", "what made the weights, for `imgrec model show`"},
                  {"--json", "", "the figures as one JSON object"}},
      .notes =
          "The model is changed at once or not at all. Exits with 1 and leaves it as it was when the agreement is\n"
          "below the bound. `./dev quantize` makes the weights.",
      .run = run_model_add_variant};
}

}  // namespace imgrec
