// How far a model's answers in one precision are those in f32.
#pragma once

#include <vector>

#include "inference/models/model_manifest.hpp"
#include "lib/base/result.hpp"
#include "lib/ports/classifier.hpp"

namespace imgrec {

/// Adds up photo by photo. Thread-compatible.
class AgreementMeter {
 public:
  /// The answers to one photo in f32 and in the other precision, both with all of the model's classes (or, for the
  /// top-5 overlap, with five at least). Errors: invalid "model_unusable", when one has no label that the other has.
  Result<void> add(const Classification& f32, const Classification& other);

  int photos() const { return photos_; }
  /// At least one photo must have been added.
  Agreement mean() const;
  /// The largest difference of a best label's score.
  double score_error_max() const { return score_error_max_; }
  /// Median time of the network over that in f32.
  double time_ratio() const;

 private:
  int photos_ = 0, same_best_ = 0;
  double overlap_ = 0, score_error_ = 0, score_error_max_ = 0;
  std::vector<double> f32_ms_, other_ms_;
};

}  // namespace imgrec
