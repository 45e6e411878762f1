#include "roles/worker/prefetch.hpp"

#include <algorithm>
#include <cmath>

namespace imgrec {

int held_target(int threads, int prefetch_max, std::optional<double> mean_ms) {
  constexpr double kAheadMs = 250;  // covers a poll of a remote queue
  if (!mean_ms) return threads + std::min(1, prefetch_max);
  const double ahead = std::ceil(threads * kAheadMs / std::max(0.01, *mean_ms));
  return threads + std::min(static_cast<int>(std::clamp(ahead, 1.0, 10'000.0)), prefetch_max);
}

}  // namespace imgrec
