#include "inference/model_import.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>
#include <utility>

#include "inference/engine/declaration.hpp"
#include "inference/model_loader.hpp"
#include "inference/models/labels.hpp"
#include "inference/models/model_files.hpp"
#include "lib/base/text.hpp"

namespace imgrec {
namespace {

std::unexpected<Error> unusable(const std::string& what) {
  return fail(ErrorKind::invalid, "model_unusable", what);
}

std::string pixels(int side) {
  return std::to_string(side) + " x " + std::to_string(side) + " pixels";
}

// The manifest with what the file declares of its input.
Result<void> obey_input(const OnnxFile& file, const ImportOptions& options, ModelManifest& manifest) {
  const auto declared = declared_input(file);
  if (!declared) return fail(declared.error());
  manifest.layout = declared->layout;
  manifest.element = declared->element;
  if (declared->side != 0) {
    if (options.input_size && *options.input_size != declared->side) {
      return unusable("The model takes images of " + pixels(declared->side) + ", not of " +
                      pixels(*options.input_size) + ": leave --size out.");
    }
    manifest.input_size = declared->side;
  }
  if (auto ok = check_preparation(manifest); !ok) {
    return fail(ok.error().kind, ok.error().code, "The model cannot be imported so: " + ok.error().message + ".");
  }
  return {};
}

Result<std::size_t> count_classes(const ImportOptions& options) {
  if (options.labels.empty()) return imagenet_class_names(ImagenetNames::names).size();
  const auto own = read_label_file(options.labels);
  if (!own) return fail(own.error());
  return own->size();
}

bool are_probabilities(const std::vector<float>& output) {
  const bool all = std::ranges::all_of(output, [](float value) { return value >= 0 && value <= 1; });
  return all && std::abs(std::accumulate(output.begin(), output.end(), 0.0) - 1) < 1e-3;
}

// What the network ends in: by its last operator, or by its answer where something stands behind that.
OutputKind recognised_kind(const OnnxFile& file, const std::string& name, const std::vector<float>& output) {
  const std::string last = file.producer(name);
  const bool says_so = last == "Softmax" || last == "Sigmoid" || last == "HardSigmoid";
  return says_so || are_probabilities(output) ? OutputKind::probabilities : OutputKind::logits;
}

std::string described(const EngineCandidate& candidate) {
  return candidate.engine + " " + std::string(to_string(candidate.precision));
}

class ImportCheckRun {
 public:
  ImportCheckRun(const ClassifierOptions& engines, ImportedModel& result) : engines_(engines), result_(result) {
    engines_.cache_dir.clear();                                     // nothing is kept of what may be refused
    if (engines_.precision == "int8") engines_.precision = "auto";  // a variant that no model begins with
  }

  Result<ModelManifest> operator()(const std::string& weights, ModelManifest manifest, const ImportOptions& options) {
    const auto file = inspect_onnx(weights);
    if (!file) return fail(file.error());
    if (auto ok = obey_input(*file, options, manifest); !ok) return fail(ok.error());
    const auto classes = count_classes(options);
    if (!classes) return fail(classes.error());
    const auto name = choose_output(*file, manifest.output_name, *classes);
    if (!name) return fail(name.error());
    manifest.output_name = file->outputs.size() > 1 ? *name : "";
    const auto output = run(manifest, options);
    if (!output) return fail(output.error());
    if (output->size() != *classes) {
      return fail(ErrorKind::invalid, "bad_labels",
                  "The model has " + std::to_string(output->size()) + " classes, its labels name " +
                      std::to_string(*classes) + ". Give the right ones with --labels FILE (one name per line).");
    }
    if (!options.output) manifest.output = recognised_kind(*file, *name, *output);
    return manifest;
  }

 private:
  // The answer of the engine that will be used first.
  Result<std::vector<float>> run(const ModelManifest& manifest, const ImportOptions& options) {
    // Where it is now: it is installed when it has been run.
    ModelEntry entry{.manifest = manifest, .folder = options.file.parent_path()};
    entry.manifest.file = options.file.filename().string();
    const auto trials = try_model(entry, engines_);
    if (!trials) return fail(trials.error());
    const EngineTrial* best = nullptr;
    std::string reasons;
    for (const EngineTrial& trial : *trials) {
      if (trial.output) {
        if (best == nullptr) best = &trial;
        result_.runs_in.push_back(described(trial.candidate));
        continue;
      }
      if (trial.output.error().code != "model_unusable") return fail(trial.output.error());
      const std::string& reason = trial.output.error().message;
      if (reasons.find(reason) == std::string::npos) reasons += (reasons.empty() ? "" : " ") + reason;
      result_.notes.push_back("It does not run in " + described(trial.candidate) + ": " + reason);
    }
    if (best == nullptr) return unusable(reasons);
    return *best->output;
  }

  ClassifierOptions engines_;
  ImportedModel& result_;
};

std::unexpected<Error> bad_numbers(const std::string& text) {
  return fail(ErrorKind::invalid, "bad_preparation",
              json_quote(text) + " is neither one number nor three numbers with commas between them.");
}

Result<std::array<double, 3>> parse_colours(const std::string& text) {
  std::vector<double> numbers;
  for (const std::string_view part : split(text, ',')) {
    const std::string_view digits = trim(part);
    double value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc() || end != digits.data() + digits.size() || !std::isfinite(value)) return bad_numbers(text);
    numbers.push_back(value);
  }
  if (numbers.size() == 1) numbers.resize(3, numbers.front());
  if (numbers.size() != 3) return bad_numbers(text);
  return std::array<double, 3>{numbers[0], numbers[1], numbers[2]};
}

}  // namespace

Result<std::optional<ColourScaling>> parse_scaling(const std::string& mean, const std::string& scale) {
  if (mean.empty() && scale.empty()) return std::nullopt;
  ColourScaling scaling;
  if (!mean.empty()) {
    const auto numbers = parse_colours(mean);
    if (!numbers) return fail(numbers.error());
    scaling.mean = *numbers;
  }
  if (!scale.empty()) {
    const auto numbers = parse_colours(scale);
    if (!numbers) return fail(numbers.error());
    scaling.scale = *numbers;
  }
  // Deviations of values from 0 to 1 are 0.1 to 0.5; of values from 0 to 255 no scale is below 1.
  constexpr double kDeviationMin = 0.05;
  const auto is_small = [](double value) { return std::abs(value) < kDeviationMin; };
  if (std::ranges::any_of(scaling.scale, is_small)) {
    return fail(ErrorKind::invalid, "bad_preparation",
                "A scale below 0.05 is taken for a factor, and values are divided by the scale: give 255 instead of "
                "0.00392.");
  }
  if (std::ranges::all_of(scaling.scale, [](double value) { return std::abs(value) < 1; })) {
    for (std::size_t c = 0; c < 3; ++c) {
      scaling.mean[c] *= 255;
      scaling.scale[c] *= 255;
    }
  }
  return scaling;
}

Result<ImportedModel> import_model(ModelStore& store, const ImportOptions& options, const ClassifierOptions& engines) {
  ImportedModel imported;
  auto entry = store.import(options, ImportCheckRun(engines, imported));
  if (!entry) return fail(entry.error());
  imported.entry = *std::move(entry);
  return imported;
}

}  // namespace imgrec
