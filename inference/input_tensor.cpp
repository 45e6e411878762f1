#include "inference/input_tensor.hpp"

#include <vector>

#include "inference/classifier.hpp"
#include "inference/engine.hpp"

namespace imgrec {

// Keeps its input, and answers with one class.
class InputTensors::Recorder final : public Engine {
 public:
  std::span<float> input(InputSize size) override {
    size_ = size;
    input_.resize(size.floats());
    return input_;
  }
  Result<std::span<const float>> run() override { return std::span<const float>(&output_, 1); }
  std::string_view name() const override { return "none"; }
  std::string_view precision() const override { return "f32"; }

  std::span<const float> recorded() const { return input_; }
  InputSize size() const { return size_; }

 private:
  InputSize size_;
  std::vector<float> input_;
  float output_ = 1;
};

InputTensors::InputTensors(const ModelManifest& manifest, const ImageConfig& limits) {
  auto recorder = std::make_unique<Recorder>();
  recorder_ = recorder.get();
  const auto classes = std::make_shared<const std::vector<ClassName>>(1);
  classifier_ = make_classifier({.manifest = manifest, .classes = classes, .limits = limits}, std::move(recorder));
}

InputTensors::~InputTensors() = default;

Result<std::span<const float>> InputTensors::of(ByteView encoded_image) {
  const auto answer = classifier_->classify(encoded_image, 1);
  if (!answer) return fail(answer.error());
  return recorder_->recorded();
}

InputSize InputTensors::size() const {
  return recorder_->size();
}

}  // namespace imgrec
