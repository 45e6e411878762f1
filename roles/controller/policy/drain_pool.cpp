// The policy `drain-pool`: one instance per message; those that are too many are asked to stop, and a burst takes such
// requests back before anything is launched.
#include <algorithm>

#include "roles/controller/policy/policy.hpp"
#include "roles/controller/policy/words.hpp"

namespace imgrec {

using policy_words::plural;

Decision decide_drain_pool(const Observation& observation, PolicyState&, const ScalingRules& rules) {
  const QueueDepth& depth = observation.depth;
  const int limit = instance_limit(rules);
  const auto wanted = std::min(depth.visible + depth.in_flight, static_cast<std::uint64_t>(limit));
  return {.wanted = static_cast<int>(wanted),
          .why = std::to_string(depth.visible) + " visible and " + std::to_string(depth.in_flight) +
                 " in flight, one instance each, at most " + std::to_string(limit) + "; " +
                 plural(static_cast<std::uint64_t>(observation.drains.requested), "request") + " to stop open",
          .ending = Ending::drain,
          .take_back_max = static_cast<int>(kBatchMax)};
}

}  // namespace imgrec
