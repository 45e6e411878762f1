// The policy `warm`: one base worker that never ends, and one more per visible message. The others end when nothing is
// visible any more and they have finished what they hold.
#include <algorithm>

#include "roles/controller/policy/policy.hpp"
#include "roles/controller/policy/words.hpp"

namespace imgrec {

using policy_words::plural;

Decision decide_warm(const Observation& observation, PolicyState&, const ScalingRules& rules) {
  const auto limit = static_cast<std::uint64_t>(std::max(1, instance_limit(rules)));
  const auto here = static_cast<std::uint64_t>(std::max(1, count_projected(observation)));
  const QueueDepth& depth = observation.depth;
  if (depth.visible == 0) {
    const std::uint64_t busy = std::max<std::uint64_t>(1, std::min(here, depth.in_flight));
    return {.wanted = static_cast<int>(busy),
            .why = "nothing is visible: all but the base worker and those that work (" +
                   plural(depth.in_flight, "message") + " in flight) end"};
  }
  return {.wanted = static_cast<int>(std::max(here, std::min(depth.visible, limit))),
          .why = plural(depth.visible, "visible message") + ", one worker each, the base worker among them, at most " +
                 std::to_string(limit)};
}

}  // namespace imgrec
