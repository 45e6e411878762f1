#include "inference/engine/engine_openvino.hpp"

#include <openvino/openvino.hpp>

#include <exception>
#include <new>
#include <optional>
#include <sstream>
#include <vector>

#include "inference/engine/onnx_file.hpp"
#include "inference/engine/openvino_winograd.hpp"
#include "lib/base/cpu.hpp"

namespace imgrec {
namespace {

// Numbers in what a layer hands on, at most: a damaged or hostile file names sizes that no memory holds.
constexpr std::uint64_t kLayerNumbersMax = std::uint64_t{1} << 28;

// What is prepared for images of one size, per layer, is kept for this many. Where each image has its own size, the
// library's 5000 are more than a gigabyte. On arm64 the library keeps nothing, as what Arm's Compute Library prepares
// may not be shared: with a cache, layers of one size take each other's weights, and the answers are wrong.
#if defined(__x86_64__)
constexpr const char* kShapeCacheEntries = "128";
#else
constexpr const char* kShapeCacheEntries = "0";
#endif

std::unexpected<Error> unusable(const std::string& what) {
  return fail(ErrorKind::invalid, "model_unusable", what);
}

std::unexpected<Error> out_of_memory() {
  return fail(ErrorKind::transient, "out_of_memory", "There is not enough memory to run the model.");
}

// OpenVINO's messages begin with lines of where in its sources they come from; the reason is in the last ones.
std::string reason_of(const std::exception& error) {
  std::istringstream lines(error.what());
  std::string reason;
  for (std::string line; std::getline(lines, line);) {
    if (line.empty() || line.starts_with("Exception from") || line.starts_with("Check '")) continue;
    if (!reason.empty()) reason += ' ';
    reason += line;
    if (reason.size() > 300) break;
  }
  // Of operators that it does not know it says their names, and then how to add them to its sources.
  constexpr std::string_view kUnknown = "No conversion rule found for operations: ";
  if (const auto at = reason.find(kUnknown); at != std::string::npos) {
    const std::string names = reason.substr(at + kUnknown.size());
    reason = "it does not know the operator " + names.substr(0, names.find(" To facilitate"));
  }
  while (!reason.empty() && std::string_view(".!\n ").find(reason.back()) != std::string_view::npos) reason.pop_back();
  return reason.empty() ? "it says no more" : reason.substr(0, 300);
}

std::unexpected<Error> refused(const std::exception& error) {
  return unusable("The engine (OpenVINO) refuses the model: " + reason_of(error) + ".");
}

// One for the process; it is not destroyed, as its libraries may be gone before what is static here.
ov::Core& core() {
  static ov::Core& one = *[] {
    auto made = std::make_unique<ov::Core>();
    add_winograd(*made);
    return made.release();
  }();
  return one;
}

// What the layers compute in that are not of eight bits. An int8 variant keeps its first one in floats: bf16 costs it
// nothing in accuracy (score error 0.0151 instead of 0.0144 on a ResNet-18), and on AMX it takes 0.3 ms, not 1.5 ms.
ov::element::Type floats_of(Precision precision) {
  const bool bf16 = precision == Precision::bf16 || (precision == Precision::int8 && processor_features().amx_bf16);
  return bf16 ? ov::element::bf16 : ov::element::f32;
}

// A stream per engine and no thread that belongs to none. The precision is a promise, not a hint to be improved on.
ov::AnyMap properties_of(const OpenvinoOptions& options) {
  return {{"CPU_RUNTIME_CACHE_CAPACITY", kShapeCacheEntries},
          ov::num_streams(options.threads),
          ov::inference_num_threads(options.threads),
          ov::hint::enable_cpu_pinning(false),
          ov::hint::inference_precision(floats_of(options.precision))};
}

class OpenvinoEngine final : public Engine {
 public:
  OpenvinoEngine(std::shared_ptr<const void> bytes, ov::InferRequest request, const OpenvinoOptions& options)
      : bytes_(std::move(bytes)),
        request_(std::move(request)),
        options_(options),
        tensor_(request_.get_input_tensor()) {}

  std::span<float> input(InputSize size) override {
    size_ = size;
    if (fits()) {
      if (options_.network.any_size)
        tensor_.set_shape({1, 3, static_cast<std::size_t>(size.height), static_cast<std::size_t>(size.width)});
      return {tensor_.data<float>(), size.floats()};
    }
    misfit_.resize(size.floats());  // run() says so
    return misfit_;
  }

  Result<std::span<const float>> run() override try {
    if (!fits()) {
      return unusable("The model cannot run on an image of " + pixels(size_) + " pixels: it was made for " +
                      pixels(options_.network.size) + ".");
    }
    request_.infer();
    const ov::Tensor output = request_.get_output_tensor(0);
    return std::span<const float>(output.data<const float>(), output.get_size());
  } catch (const std::bad_alloc&) {
    return out_of_memory();
  } catch (const std::exception& error) {
    return unusable("The model cannot run on an image of " + pixels(size_) + " pixels: " + reason_of(error) + ".");
  }

  std::string_view name() const override { return "openvino"; }
  std::string_view precision() const override { return to_string(options_.precision); }

 private:
  static std::string pixels(InputSize size) { return std::to_string(size.width) + " x " + std::to_string(size.height); }
  bool fits() const {
    return options_.network.any_size ||
           (size_.width == options_.network.size.width && size_.height == options_.network.size.height);
  }

  std::shared_ptr<const void> bytes_;  // constants of the model lie in it
  ov::InferRequest request_;
  OpenvinoOptions options_;
  InputSize size_ = {};
  ov::Tensor tensor_;  // the request's own: what is written here is not copied
  std::vector<float> misfit_;
};

class Compiled final : public OpenvinoModel {
 public:
  Compiled(ov::CompiledModel model, const OpenvinoOptions& options, std::shared_ptr<const void> bytes)
      : bytes_(std::move(bytes)), model_(std::move(model)), options_(options) {}

  Result<std::unique_ptr<Engine>> make_engine() override try {
    return std::make_unique<OpenvinoEngine>(bytes_, model_.create_infer_request(), options_);
  } catch (const std::bad_alloc&) {
    return out_of_memory();
  } catch (const std::exception& error) {
    return refused(error);
  }

  Result<std::string> exported() override try {
    std::ostringstream out;
    model_.export_model(out);
    return std::move(out).str();
  } catch (const std::bad_alloc&) {
    return out_of_memory();
  } catch (const std::exception& error) {
    return refused(error);
  }

 private:
  std::shared_ptr<const void> bytes_;
  ov::CompiledModel model_;
  OpenvinoOptions options_;
};

Result<DeclaredInput> input_of(const ov::Model& model) {
  if (model.inputs().size() != 1) {
    return unusable("The model has " + std::to_string(model.inputs().size()) +
                    " inputs; it has to have one, an image.");
  }
  const ov::PartialShape shape = model.input().get_partial_shape();
  if (shape.rank().is_dynamic()) return unusable("The model does not declare the shape of its input.");
  std::vector<std::int64_t> lengths;
  for (const ov::Dimension& dimension : shape) lengths.push_back(dimension.is_static() ? dimension.get_length() : -1);
  const ov::element::Type element = model.input().get_element_type();
  const std::string name = element == ov::element::f32   ? "float32"
                           : element == ov::element::f16 ? "float16"
                           : element == ov::element::u8  ? "uint8"
                                                         : element.get_type_name();
  return declared_input(lengths, name);
}

// So that the first output is the one that answers, also in what is exported and imported.
Result<void> keep_output(ov::Model& model, const std::string& name) {
  if (model.outputs().empty()) return unusable("The model has no output to read scores from; is its file damaged?");
  std::optional<std::size_t> kept;
  for (std::size_t i = 0; i < model.outputs().size() && !kept; ++i) {
    if (name.empty() || model.output(i).get_names().contains(name)) kept = i;
  }
  if (!kept) return unusable("The model has no output " + name + ".");
  const ov::ResultVector results = model.get_results();
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (i != *kept) model.remove_result(results[i]);
  }
  return {};
}

Result<void> check_layers(const ov::Model& model) {
  for (const auto& node : model.get_ops()) {
    for (const ov::Output<ov::Node>& output : node->outputs()) {
      std::uint64_t numbers = 1;
      const ov::PartialShape& shape = output.get_partial_shape();
      if (shape.rank().is_dynamic()) continue;
      for (const ov::Dimension& dimension : shape) {
        if (dimension.is_dynamic()) continue;
        const auto length = static_cast<std::uint64_t>(dimension.get_length());
        if (length > kLayerNumbersMax || (numbers *= length) > kLayerNumbersMax) {
          return unusable("The model is damaged: its layer " + node->get_friendly_name().substr(0, 100) +
                          " would have more than " + std::to_string(kLayerNumbersMax) + " numbers.");
        }
      }
    }
  }
  return {};
}

Result<std::shared_ptr<ov::Model>> read_model(const ModelBytes& bytes, const OpenvinoOptions& options) {
  const ByteView weights = bytes.weights.bytes();
  ov::Tensor tensor;
  if (options.precision != Precision::int8) {
    const auto file = inspect_onnx(bytes.graph.bytes());
    if (!file) return fail(file.error());
    if (const auto declared = declared_input(*file); !declared) return fail(declared.error());
  } else {
    if (weights.empty()) return unusable("The model is damaged: its file of weights is empty.");
    // OpenVINO takes weights as a tensor that could be written to; it does not.
    tensor = ov::Tensor(ov::element::u8, {weights.size()}, const_cast<char*>(weights.data()));
  }
  auto model = core().read_model(std::string(bytes.graph.bytes()), tensor);
  const NetworkOptions& network = options.network;
  const auto declared = input_of(*model);
  if (!declared) return fail(declared.error());
  if (auto ok = check_declared(*declared, network); !ok) return fail(ok.error());
  if (auto ok = keep_output(*model, network.output); !ok) return fail(ok.error());
  const bool planes = declared->layout == Layout::nchw;
  const ov::Dimension height = network.any_size ? ov::Dimension::dynamic() : ov::Dimension(network.size.height);
  const ov::Dimension width = network.any_size ? ov::Dimension::dynamic() : ov::Dimension(network.size.width);
  model->reshape(planes ? ov::PartialShape{1, 3, height, width} : ov::PartialShape{1, height, width, 3});
  if (auto ok = check_layers(*model); !ok) return fail(ok.error());
  ov::preprocess::PrePostProcessor ports(model);
  ports.input().tensor().set_element_type(ov::element::f32);
  if (!planes) {
    ports.input().tensor().set_layout("NCHW");
    ports.input().model().set_layout("NHWC");
  }
  ports.output().tensor().set_element_type(ov::element::f32);
  return ports.build();
}

}  // namespace

bool has_openvino() {
  return true;
}

std::string openvino_identity() try {
  const std::string version = ov::get_openvino_version().buildNumber;
  return version + " " + std::string(winograd_identity()) + " " + core().get_property("CPU", ov::device::full_name);
} catch (const std::exception& error) {
  return {};
}

Result<std::shared_ptr<OpenvinoModel>> compile_openvino(std::shared_ptr<const ModelBytes> bytes,
                                                        const OpenvinoOptions& options) try {
  const auto model = read_model(*bytes, options);
  if (!model) return fail(model.error());
  if (options.precision == Precision::f32 && options.winograd) use_winograd(*model);
  auto compiled = core().compile_model(*model, "CPU", properties_of(options));
  return std::make_shared<Compiled>(std::move(compiled), options, std::move(bytes));
} catch (const std::bad_alloc&) {
  return out_of_memory();
} catch (const std::exception& error) {
  return refused(error);
}

Result<std::shared_ptr<OpenvinoModel>> import_openvino(std::shared_ptr<const MappedFile> file, std::size_t offset,
                                                       const OpenvinoOptions& options) try {
  const ByteView bytes = file->bytes().substr(std::min(offset, file->bytes().size()));
  const ov::Tensor tensor(ov::element::u8, {bytes.size()}, const_cast<char*>(bytes.data()));
  auto compiled = core().import_model(tensor, "CPU", properties_of(options));
  return std::make_shared<Compiled>(std::move(compiled), options, std::move(file));
} catch (const std::bad_alloc&) {
  return out_of_memory();
} catch (const std::exception& error) {
  return refused(error);
}

}  // namespace imgrec
