// How many messages a worker holds: enough that no thread waits for the queue, and no more. What is held here is hidden
// from workers that may be idle, and a crash counts a delivery against each message held.
#pragma once

#include <optional>

namespace imgrec {

struct PrefetchState {
  int threads = 1;                // images at a time
  int prefetch_max = 0;           // messages beyond those, at most
  std::optional<double> mean_ms;  // how long an image takes; nothing before the first is done
  bool backlog = false;           // the last call brought as many messages as were asked for: more are waiting
};

struct PrefetchWindow {
  int target = 0;     // hold so many …
  int refill_at = 0;  // … and fetch others when no more than so many are left
};

/// What is used up within a quarter of a second is held ahead; in a backlog, where idle workers find others, within a
/// second: enough to fetch a full batch at a time. At least one and at most prefetch_max.
PrefetchWindow prefetch_window(const PrefetchState& state);

}  // namespace imgrec
