// What a model's network gets for an image, for tools that calibrate or compare networks outside of this program.
#pragma once

#include <memory>
#include <span>

#include "inference/models/model_manifest.hpp"
#include "inference/preparer.hpp"
#include "lib/base/result.hpp"
#include "lib/base/units.hpp"
#include "lib/config/config.hpp"

namespace imgrec {

/// One thread at a time. What prepares images for the engines that serve makes the tensors, so they are the same to the
/// last bit.
class InputTensors {
 public:
  InputTensors(const ModelManifest& manifest, const ImageConfig& limits);
  ~InputTensors();

  /// NCHW with N = 1 and 3 channels, scaled by the model's profile; valid until the next call. Errors: those of the
  /// image, as Classifier::classify().
  Result<std::span<const float>> of(ByteView encoded_image);

  /// Of the last tensor.
  InputSize size() const;

 private:
  class Recorder;
  std::unique_ptr<Recorder> recorder_;
  Preparer preparer_;
};

}  // namespace imgrec
