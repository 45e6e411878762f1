// From the bytes of an image file to labels.
//
// Threads   one thread at a time per Classifier: make one per thread with the factory; weights may be shared behind it.
// Memory    bounded, and independent of how many images went through.
// Failure   errors of the image are ErrorKind::invalid and permanent, with one of these codes:
//             unsupported_format   none of the formats known, or a variant that is not supported
//             image_too_large      more pixels, or more progressive scans, than allowed; checked before decoding
//             image_truncated      the file ends early
//             image_corrupt        the file contradicts itself
//             model_unusable       the network cannot run on an image of this size (networks that take any size)
//           Failures of the engine or the machine are never of these: bug "engine_failed" (an exception, numbers that
//           are not finite), transient "out_of_memory". They say nothing about the image.
//           An error never leaves pixels or labels of an earlier image behind.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lib/base/result.hpp"
#include "lib/base/units.hpp"
#include "lib/job/job.hpp"

namespace imgrec {

struct Classification {
  std::vector<Label> labels;  // best first; min(top_k, classes)
  double decode_ms = 0, preprocess_ms = 0, infer_ms = 0;
};

class Classifier {
 public:
  virtual ~Classifier() = default;
  /// top_k: 1 or more.
  virtual Result<Classification> classify(ByteView encoded_image, int top_k) = 0;
  /// A JPEG of the image, upright and whole, its longer side so many pixels, or its own where that is shorter. It is
  /// decoded once more for it. Errors: those of the image; of a tensor, invalid "unsupported_format".
  virtual Result<std::string> thumbnail(ByteView encoded_image, int side) = 0;
  virtual ModelInfo model() const = 0;
};

using ClassifierFactory = std::function<Result<std::unique_ptr<Classifier>>()>;

}  // namespace imgrec
