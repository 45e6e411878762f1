// From the bytes of an image file to an engine's input.
#pragma once

#include "inference/decode/decode.hpp"
#include "inference/engine/engine.hpp"
#include "inference/preprocess/preprocess.hpp"
#include "lib/base/clock.hpp"
#include "lib/base/result.hpp"
#include "lib/base/units.hpp"
#include "lib/config/config.hpp"

namespace imgrec {

/// Both are done in one pass, some rows at a time; the clock is read between.
struct PrepareTimes {
  double decode_ms = 0;
  double preprocess_ms = 0;  // resize, crop, scale
};

/// One thread at a time; buffers are kept.
class Preparer {
 public:
  Preparer(const ImageConfig& limits, const ModelManifest& manifest)
      : decoder_(limits), preprocessor_(preprocess_options(manifest)) {}

  /// Fills the engine's input. Errors: those of lib/ports/classifier.hpp.
  Result<PrepareTimes> prepare(ByteView encoded_image, Engine& engine, Clock& clock);

  /// Whether an input of this size is bounded as an image's of this size would be. Errors: invalid "image_too_large".
  Result<void> check_size(InputSize size) const;

 private:
  ImageDecoder decoder_;
  Preprocessor preprocessor_;
};

}  // namespace imgrec
