// Conditions under which a workload counts as failed: "p99>2s", "accuracy<0.99", "failed>0".
#pragma once

#include <optional>
#include <string>

#include "lib/base/result.hpp"
#include "roles/load/figures.hpp"

namespace imgrec::load {

enum class Comparison { less, less_or_equal, greater, greater_or_equal };

struct FailIf {
  std::string text;    // as it was given
  std::string figure;  // "p99"
  Comparison comparison = Comparison::greater;
  double limit = 0;  // times in seconds, shares from 0 to 1
};

/// Figures: p50, p90, p95, p99, p99.9, max, mean, first_label (times: "500ms", "2s", a plain number is seconds);
/// accuracy ("0.99" or "99%"); ok, failed, late, images_per_s, calls_per_s (numbers).
/// Errors: invalid "bad_condition".
Result<FailIf> parse_fail_if(const std::string& text);

/// The figure of that name; nothing when it is not known (no request was answered, no image has a known label).
std::optional<double> figure_of(const Figures& figures, const std::string& name);

/// Whether the condition holds. A figure that is not known fails too: it cannot be shown to be good.
bool holds(const FailIf& condition, const Figures& figures);

}  // namespace imgrec::load
