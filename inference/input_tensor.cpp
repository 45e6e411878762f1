#include "inference/input_tensor.hpp"

#include <vector>

#include "inference/engine/engine.hpp"

namespace imgrec {

// Keeps its input. Nothing runs it.
class InputTensors::Recorder final : public Engine {
 public:
  std::span<float> input(InputSize size) override {
    size_ = size;
    input_.resize(size.floats());
    return input_;
  }
  Result<std::span<const float>> run() override { return std::span<const float>(); }
  std::string_view name() const override { return "none"; }
  std::string_view precision() const override { return "f32"; }

  std::span<const float> recorded() const { return input_; }
  InputSize size() const { return size_; }

 private:
  InputSize size_;
  std::vector<float> input_;
};

InputTensors::InputTensors(const ModelManifest& manifest, const ImageConfig& limits)
    : recorder_(std::make_unique<Recorder>()), preparer_(limits, manifest) {}

InputTensors::~InputTensors() = default;

Result<std::span<const float>> InputTensors::of(ByteView encoded_image) {
  const auto prepared = preparer_.prepare(encoded_image, *recorder_, system_clock());
  if (!prepared) return fail(prepared.error());
  return recorder_->recorded();
}

InputSize InputTensors::size() const {
  return recorder_->size();
}

}  // namespace imgrec
