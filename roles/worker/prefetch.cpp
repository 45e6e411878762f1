#include "roles/worker/prefetch.hpp"

#include <algorithm>
#include <cmath>

#include "lib/ports/message_queue.hpp"

namespace imgrec {
namespace {

constexpr double kAheadMs = 250;  // covers a poll of a remote queue, and an image's fetching
constexpr double kAheadInBacklogMs = 1'000;
constexpr double kRefillMs = 100;  // a poll of a queue that has messages, with a margin

}  // namespace

PrefetchWindow prefetch_window(const PrefetchState& state) {
  const auto used_up_in = [&](double ms) {
    if (!state.mean_ms) return 1;
    return static_cast<int>(std::clamp(std::ceil(state.threads * ms / std::max(0.01, *state.mean_ms)), 1.0, 10'000.0));
  };
  const int ahead = std::min(used_up_in(state.backlog ? kAheadInBacklogMs : kAheadMs), state.prefetch_max);
  // When half is used up; rather later, where a whole batch then fits and the poll is still covered.
  const int refill = std::min(ahead / 2, std::max(ahead - static_cast<int>(kBatchMax), used_up_in(kRefillMs)));
  return {.target = state.threads + ahead, .refill_at = state.threads + refill};
}

}  // namespace imgrec
