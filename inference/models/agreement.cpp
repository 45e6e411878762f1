#include "inference/models/agreement.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace imgrec {
namespace {

constexpr std::size_t kOverlapLabels = 5;

const Label* find_label(const std::vector<Label>& labels, int index) {
  const auto found = std::ranges::find(labels, index, &Label::index);
  return found == labels.end() ? nullptr : &*found;
}

// Part of the five best labels (or of all, when there are fewer) that both name.
double overlap(const std::vector<Label>& a, const std::vector<Label>& b) {
  const std::size_t count = std::min({kOverlapLabels, a.size(), b.size()});
  const std::vector<Label> best_of_b(b.begin(), b.begin() + static_cast<std::ptrdiff_t>(count));
  const auto both = std::count_if(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(count),
                                  [&](const Label& label) { return find_label(best_of_b, label.index) != nullptr; });
  return static_cast<double>(both) / static_cast<double>(count);
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// Six digits: what comes after them is noise, and the manifest stays readable.
double rounded(double value) {
  return std::round(value * 1e6) / 1e6;
}

}  // namespace

Result<void> AgreementMeter::add(const Classification& f32, const Classification& other) {
  const Label* same = f32.labels.empty() ? nullptr : find_label(other.labels, f32.labels.front().index);
  if (same == nullptr) {
    return fail(ErrorKind::invalid, "model_unusable", "The two precisions of the model have different classes.");
  }
  const Label& best = f32.labels.front();
  const double error = std::abs(best.score - same->score);
  ++photos_;
  same_best_ += other.labels.front().index == best.index ? 1 : 0;
  overlap_ += overlap(f32.labels, other.labels);
  score_error_ += error;
  score_error_max_ = std::max(score_error_max_, error);
  f32_ms_.push_back(f32.infer_ms);
  other_ms_.push_back(other.infer_ms);
  return {};
}

double AgreementMeter::time_ratio() const {
  constexpr double kLeastMs = 1e-3;  // a clock's tick
  return rounded(std::max(median(other_ms_), kLeastMs) / std::max(median(f32_ms_), kLeastMs));
}

Agreement AgreementMeter::mean() const {
  assert(photos_ > 0);
  return {.top1 = rounded(static_cast<double>(same_best_) / photos_),
          .top5_overlap = rounded(overlap_ / photos_),
          .score_error = rounded(score_error_ / photos_),
          .photos = photos_};
}

}  // namespace imgrec
