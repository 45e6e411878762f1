// imgrec model import
#include "inference/model_import.hpp"

#include <charconv>
#include <cstdio>
#include <optional>

#include "cmd/cli/exit_code.hpp"
#include "cmd/cli/terminal.hpp"
#include "cmd/commands/commands.hpp"
#include "cmd/commands/model_text.hpp"
#include "cmd/platform/resolve.hpp"

namespace imgrec {
namespace {

std::unexpected<Error> bad_import_option(const std::string& text) {
  return fail(ErrorKind::invalid, "bad_option", text);
}

template <class Number>
std::optional<Number> import_number(const std::string& text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Result<void> read_size_and_crop(const Invocation& call, ImportOptions& options) {
  if (call.has("--size")) {
    options.input_size = import_number<int>(call.option("--size"));
    if (!options.input_size || *options.input_size < 1 || *options.input_size > 2048)
      return bad_import_option("--size is the number of pixels a side that the network takes, from 1 to 2048.");
  }
  if (call.has("--crop")) {
    options.crop = import_number<double>(call.option("--crop"));
    if (!options.crop || !(*options.crop >= 0.1 && *options.crop <= 1)) {
      return bad_import_option(
          "--crop is the part of the resized image that the centre crop keeps, from 0.1 to 1: 0.875 keeps 224 of 256 "
          "pixels.");
    }
  }
  return {};
}

Result<ImportOptions> import_options_of(const Invocation& call) {
  ImportOptions options{.file = call.arguments.front(),
                        .name = call.option("--name"),
                        .labels = call.option("--labels"),
                        .output_name = call.option("--output"),
                        .replace = call.has("--replace")};
  const auto profile = parse_preprocess_profile(call.option("--profile"));
  if (!profile) return fail(profile.error());
  options.profile = *profile;
  if (auto ok = read_size_and_crop(call, options); !ok) return fail(ok.error());
  const auto scaling = parse_scaling(call.option("--mean"), call.option("--scale"));
  if (!scaling) return fail(scaling.error());
  options.scaling = *scaling;
  if (call.has("--licence")) options.licence = call.option("--licence");
  if (const std::string channels = call.option("--channels"); channels == "bgr") {
    options.channels = ChannelOrder::bgr;
  } else if (!channels.empty() && channels != "rgb") {
    return bad_import_option("--channels is rgb or bgr, not \"" + channels + "\".");
  }
  if (const std::string kind = call.option("--output-kind"); !kind.empty()) {
    if (kind != "logits" && kind != "probabilities")
      return bad_import_option("--output-kind is logits or probabilities, not \"" + kind + "\".");
    options.output = kind == "logits" ? OutputKind::logits : OutputKind::probabilities;
  }
  return options;
}

int run_model_import(const Invocation& call) {
  const auto options = import_options_of(call);
  if (!options) return report(options.error());
  if (auto made = make_state_dir(call.config()); !made) return report(made.error());
  ModelStore store(call.config().model.dir);
  const auto imported = import_model(store, *options, classifier_options(call.config(), 1));
  if (!imported) return model_failed(imported.error());
  const ModelManifest& manifest = imported->entry.manifest;
  std::string text = "Model " + options->name + " is installed in " + printable(imported->entry.folder.string()) + "\n";
  text += "  input   " + input_text(manifest) + ", profile " + std::string(to_string(manifest.profile)) + "\n";
  text += "  output  " + output_text(manifest) + "\n  runs in ";
  for (std::size_t i = 0; i < imported->runs_in.size(); ++i) text += (i == 0 ? "" : ", ") + imported->runs_in[i];
  text += "\n";
  for (const std::string& note : imported->notes) text += printable(note) + "\n";
  print(text);
  return kExitOk;
}

}  // namespace

std::string input_text(const ModelManifest& manifest) {
  if (manifest.profile == PreprocessProfile::as_is) return "images of any size";
  char text[160];
  std::snprintf(text, sizeof text, "%d x %d pixels, crop %g, %s, %s, %s", manifest.input_size, manifest.input_size,
                manifest.crop, to_string(manifest.channels).data(), to_string(manifest.layout).data(),
                to_string(manifest.element).data());
  return text;
}

std::string output_text(const ModelManifest& manifest) {
  const std::string kind(to_string(manifest.output));
  return manifest.output_name.empty() ? kind : kind + ", of the output " + printable(manifest.output_name);
}

int model_failed(const Error& error) {
  const int code = report(error);
  return error.kind == ErrorKind::invalid ? static_cast<int>(kExitItemFailed) : code;
}

Command model_import_command() {
  return {
      .name = "model import",
      .summary = "Install an ONNX file as a model",
      .arguments = "FILE",
      .arguments_min = 1,
      .arguments_max = 1,
      .settings = kModelCommand,
      .examples = {{"imgrec model import my.onnx --name mine --profile imagenet", "ImageNet's 1000 classes"},
                   {"imgrec model import cars.onnx --name cars --profile tf --labels cars.txt",
                    "classes of its own, one name per line"},
                   {"imgrec model import net.onnx --name net --profile raw --mean 103.94,116.78,123.68 --channels bgr",
                    "colours as Caffe's networks have them"}},
      .options = {{"--name", "NAME", "name of the model: a-z 0-9 . _ -", true},
                  {"--profile", "PROFILE",
                   "how values are scaled: imagenet (mean/std), tf (x/127.5 - 1), zero-one (x/255), raw (0 to 255); or "
                   "as-is (x/255, no resize)",
                   true},
                  {"--mean", "NUMBERS",
                   "one or three, in the order of the network's channels, instead of the profile's"},
                  {"--scale", "NUMBERS",
                   "the same: (x - mean) / scale of 0 to 255; all below 1: of 0 to 1, as torchvision"},
                  {"--size", "PIXELS", "a side of the network's input; without it: as the file declares, else 224"},
                  {"--crop", "PART", "of the resized image that the centre crop keeps; without it 0.875 (224 of 256)"},
                  {"--channels", "ORDER", "rgb (default) or bgr"},
                  {"--labels", "FILE", "class names, one per line; without it: ImageNet-1k"},
                  {"--licence", "TEXT", "licence of the weights, for `imgrec model list`"},
                  {"--output", "NAME", "which of several outputs answers; without it: the one with a number per class"},
                  {"--output-kind", "KIND", "logits or probabilities; without it: recognised"},
                  {"--replace", "", "replace an installed model of that name"}},
      .notes =
          "Size, layout (channels first or last) and element type (float32, uint8) are those that the file declares.\n"
          "The model is run once, in every engine that would be used, before it is installed.",
      .run = run_model_import};
}

}  // namespace imgrec
