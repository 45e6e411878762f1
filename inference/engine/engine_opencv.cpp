// OpenCV's DNN module: the reference engine.
#include <opencv2/core/utility.hpp>
#include <opencv2/core/utils/logger.hpp>
#include <opencv2/dnn.hpp>

#include <cassert>
#include <exception>
#include <mutex>
#include <new>
#include <string>
#include <utility>

#include "inference/engine/engine.hpp"
#include "inference/engine/onnx_file.hpp"

namespace imgrec {
namespace {

int stay_silent(int, const char*, const char*, const char*, int, void*) {
  return 0;
}

// One image per thread: more threads on one image gain nothing when several images wait. Process-wide in OpenCV, which
// nothing else in this program uses. Errors come as exceptions; OpenCV would also print them.
void configure_once() {
  static std::once_flag once;
  std::call_once(once, [] {
    cv::setNumThreads(1);
    cv::redirectError(stay_silent);
    cv::utils::logging::setLogLevel(cv::utils::logging::LOG_LEVEL_SILENT);
  });
}

// OpenCV's messages carry paths and line numbers of its sources; the first line of the reason is enough.
std::string reason_of(const cv::Exception& error) {
  return error.err.substr(0, error.err.find('\n'));
}

class OpencvEngine final : public Engine {
 public:
  OpencvEngine(const cv::dnn::Net& net, Layout layout, NetworkOptions options)
      : net_(net), layout_(layout), options_(std::move(options)) {}

  std::span<float> input(InputSize size) override {
    const int shape[] = {1, 3, size.height, size.width};
    input_.create(4, shape, CV_32F);
    return {input_.ptr<float>(), size.floats()};
  }

  // The importer ignores element types: a network that takes uint8 is given the same values as floats.
  Result<std::span<const float>> run() override try {
    assert(!input_.empty());  // input() comes first
    if (layout_ == Layout::nhwc) cv::transposeND(input_, {0, 2, 3, 1}, pixels_);
    net_.setInput(layout_ == Layout::nhwc ? pixels_ : input_);
    output_ = net_.forward(options_.output);
    if (output_.empty() || output_.type() != CV_32F || !output_.isContinuous()) {
      return fail(ErrorKind::invalid, "model_unusable", "The model's output is no list of numbers.");
    }
    return std::span<const float>(output_.ptr<float>(), output_.total());
  } catch (const cv::Exception& error) {
    if (error.code == cv::Error::StsNoMem) return out_of_memory();
    return fail(ErrorKind::invalid, "model_unusable",
                "The model cannot run on an image of " + std::to_string(input_.size[3]) + " x " +
                    std::to_string(input_.size[2]) + " pixels: " + reason_of(error) + ".");
  } catch (const std::bad_alloc&) {
    return out_of_memory();
  }

  std::string_view name() const override { return "opencv"; }
  std::string_view precision() const override { return "f32"; }

 private:
  static std::unexpected<Error> out_of_memory() {
    return fail(ErrorKind::transient, "out_of_memory", "There is not enough memory to run the model.");
  }

  cv::dnn::Net net_;
  Layout layout_;
  NetworkOptions options_;
  cv::Mat input_, pixels_, output_;
};

// Beyond this opset OpenCV 4.6 has not been written for.
constexpr std::int64_t kOpsetKnown = 13;

std::string advice(const OnnxFile& file) {
  if (file.opset <= kOpsetKnown) return " The engine does not know every operator.";
  return " The file is of opset " + std::to_string(file.opset) + ", which is newer than this engine (" +
         std::to_string(kOpsetKnown) + "): export the model again with an older opset, 10 or less if you can.";
}

}  // namespace

Result<std::unique_ptr<Engine>> make_opencv_engine(ByteView onnx, const NetworkOptions& options) {
  configure_once();
  const auto file = inspect_onnx(onnx);
  if (!file) return fail(file.error());
  const auto declared = declared_input(*file);
  if (!declared) return fail(declared.error());
  if (auto ok = check_declared(*declared, options); !ok) return fail(ok.error());
  NetworkOptions named = options;
  // Without a name OpenCV would answer with the last of several.
  if (named.output.empty() && !file->outputs.empty()) named.output = file->outputs.front().name;
  try {
    cv::dnn::Net net = cv::dnn::readNetFromONNX(onnx.data(), onnx.size());
    if (net.empty()) return fail(ErrorKind::invalid, "model_unusable", "The model has no layers.");
    if (net.getLayerId(named.output) < 0) named.output.clear();  // named otherwise by the importer: there is one then
    net.setPreferableBackend(cv::dnn::DNN_BACKEND_OPENCV);
    net.setPreferableTarget(cv::dnn::DNN_TARGET_CPU);
    return std::make_unique<OpencvEngine>(net, declared->layout, std::move(named));
  } catch (const cv::Exception& error) {
    return fail(ErrorKind::invalid, "model_unusable",
                "The engine (OpenCV) refuses the model: " + reason_of(error) + "." + advice(*file));
  } catch (const std::exception& error) {
    return fail(ErrorKind::invalid, "model_unusable",
                std::string("The engine (OpenCV) refuses the model: ") + error.what() + ".");
  }
}

}  // namespace imgrec
