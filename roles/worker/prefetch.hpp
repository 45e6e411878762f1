// How many messages a worker holds: enough that no thread waits for the queue, and no more. What is held here is hidden
// from workers that may be idle, and a crash counts a delivery against each message held.
#pragma once

#include <optional>

namespace imgrec {

/// threads: images at a time. prefetch_max: messages beyond those, at most. mean_ms: how long an image takes; nothing
/// before the first is done.
/// Returns threads plus what is used up within a quarter of a second, but at least one and at most prefetch_max.
int held_target(int threads, int prefetch_max, std::optional<double> mean_ms);

}  // namespace imgrec
