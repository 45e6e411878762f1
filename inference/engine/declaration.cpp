#include "inference/engine/declaration.hpp"

#include <algorithm>
#include <optional>

namespace imgrec {
namespace {

constexpr std::int64_t kAny = -1;
constexpr std::int64_t kSideMax = 2048;  // as in manifests

std::unexpected<Error> unusable(const std::string& what) {
  return fail(ErrorKind::invalid, "model_unusable", what);
}

// "[1, 3, ?, ?]"
std::string text_of(const std::vector<std::int64_t>& shape) {
  std::string text;
  for (const std::int64_t length : shape) {
    text += (text.empty() ? "" : ", ") + (length == kAny ? std::string("?") : std::to_string(length));
  }
  return "[" + text + "]";
}

std::string element_name(int onnx_type) {
  static const std::vector<const char*> kNames = {
      "undefined", "float32", "uint8",   "int8",   "uint16", "int16",     "int32",      "int64",   "string",
      "bool",      "float16", "float64", "uint32", "uint64", "complex64", "complex128", "bfloat16"};
  const auto at = static_cast<std::size_t>(onnx_type);
  return at < kNames.size() ? kNames[at] : "of type " + std::to_string(onnx_type);
}

// How many numbers an output has for one image; nothing when the file does not say.
std::optional<std::uint64_t> numbers_of(const OnnxPort& port) {
  if (!port.has_shape) return std::nullopt;
  std::uint64_t numbers = 1;
  for (std::size_t axis = 0; axis < port.shape.size(); ++axis) {
    const std::int64_t length = port.shape[axis];
    if (length == kAny && axis > 0) return std::nullopt;  // the first one counts images
    if (length != kAny) numbers *= static_cast<std::uint64_t>(length);
  }
  return numbers;
}

std::string names_of(const std::vector<OnnxPort>& ports) {
  std::string text;
  for (const OnnxPort& port : ports) {
    text += (text.empty() ? "" : ", ") + port.name + (port.has_shape ? " " + text_of(port.shape) : "");
  }
  return text;
}

}  // namespace

Result<DeclaredInput> declared_input(const std::vector<std::int64_t>& shape, const std::string& element) {
  if (shape.size() != 4) {
    return unusable("The model's input is no image: its shape is " + text_of(shape) +
                    ", not [1, 3, height, width] or [1, height, width, 3].");
  }
  if (shape[0] != 1 && shape[0] != kAny) {
    return unusable("The model takes " + std::to_string(shape[0]) +
                    " images at a time: export it for one, or with a dynamic batch size.");
  }
  const auto colours_at = [&](std::size_t axis) { return shape[axis] == 3; };
  DeclaredInput declared;
  if (!colours_at(1) && colours_at(3)) {
    declared.layout = Layout::nhwc;
  } else if (!colours_at(1) && shape[1] != kAny) {
    const bool grey = shape[1] == 1 || shape[3] == 1;
    return unusable(std::string(grey ? "The model takes grey images" : "The model takes no images of three colours") +
                    ": its input is " + text_of(shape) + ". Images are given to it in three colours.");
  }
  const std::size_t first = declared.layout == Layout::nchw ? 2 : 1;
  const std::int64_t height = shape[first], width = shape[first + 1];
  if (height != kAny && width != kAny && height != width) {
    return unusable("The model takes images of " + std::to_string(width) + " x " + std::to_string(height) +
                    " pixels; they are prepared as squares. Export it for a square size.");
  }
  const std::int64_t side = std::max(height, width);
  if (side > kSideMax) {
    return unusable("The model takes images of " + std::to_string(side) + " pixels a side; " +
                    std::to_string(kSideMax) + " are the most.");
  }
  declared.side = side == kAny ? 0 : static_cast<int>(side);
  if (element == "uint8") {
    declared.element = ElementType::uint8;
  } else if (element != "float32" && element != "float16") {
    return unusable("The model's input is " + element + "; it has to be float32, float16 or uint8 (0 to 255).");
  }
  return declared;
}

Result<DeclaredInput> declared_input(const OnnxFile& file) {
  if (file.inputs.size() != 1) {
    return unusable("The model has " + std::to_string(file.inputs.size()) + " inputs" +
                    (file.inputs.empty() ? "" : " (" + names_of(file.inputs) + ")") +
                    "; it has to have one, an image.");
  }
  const OnnxPort& input = file.inputs.front();
  if (!input.has_shape) return unusable("The model does not declare the shape of its input " + input.name + ".");
  return declared_input(input.shape, element_name(input.type));
}

Result<void> check_declared(const DeclaredInput& declared, const NetworkOptions& options) {
  if (declared.element != options.element) {
    return unusable("The model's input is " + std::string(to_string(declared.element)) +
                    ", and images were to be prepared as " + std::string(to_string(options.element)) +
                    ": import the model again (--replace).");
  }
  if (options.any_size || declared.side == 0) return {};
  if (options.size.width == declared.side && options.size.height == declared.side) return {};
  const std::string side = std::to_string(declared.side);
  return unusable("The model takes images of " + side + " x " + side + " pixels, and they were to be prepared in " +
                  std::to_string(options.size.width) + " x " + std::to_string(options.size.height) +
                  ": import the model again (--replace).");
}

Result<std::string> choose_output(const OnnxFile& file, const std::string& wanted, std::size_t classes) {
  if (file.outputs.empty()) return unusable("The model has no output to read scores from; is its file damaged?");
  if (!wanted.empty()) {
    if (std::ranges::find(file.outputs, wanted, &OnnxPort::name) != file.outputs.end()) return wanted;
    return unusable("The model has no output " + wanted + "; it has " + names_of(file.outputs) + ".");
  }
  if (file.outputs.size() == 1) return file.outputs.front().name;
  std::vector<OnnxPort> fitting, unknown;
  for (const OnnxPort& port : file.outputs) {
    const auto numbers = numbers_of(port);
    if (!numbers) unknown.push_back(port);
    if (numbers == classes) fitting.push_back(port);
  }
  if (fitting.size() == 1 && unknown.empty()) return fitting.front().name;
  if (fitting.empty() && unknown.empty()) {
    return fail(ErrorKind::invalid, "bad_labels",
                "None of the model's outputs has a number for each of the " + std::to_string(classes) +
                    " class names: it has " + names_of(file.outputs) +
                    ". Give the right ones with --labels FILE (one name per line).");
  }
  return unusable("The model has several outputs: " + names_of(file.outputs) +
                  ". Say which one answers with --output NAME.");
}

}  // namespace imgrec
