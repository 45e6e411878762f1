// The policy `depth`: one instance per message, up to max.
#include <algorithm>
#include <string>

#include "roles/controller/policy/policy.hpp"

namespace imgrec {
namespace {

std::string plural(std::uint64_t count, const char* noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

}  // namespace

Decision decide_depth(const Observation& observation, PolicyState& state, const ScalingRules& rules) {
  const QueueDepth& depth = observation.depth;
  // What is in flight counts too: its worker may be gone. What is delayed will come.
  const std::uint64_t messages = depth.visible + depth.in_flight + depth.delayed;
  const int active = count_active(observation.instances);
  const int here = std::clamp(active, rules.min, rules.max);

  if (messages > 0) {
    state.empty_since.reset();
    const int for_messages = static_cast<int>(std::min<std::uint64_t>(messages, static_cast<std::uint64_t>(rules.max)));
    return {.wanted = std::max(for_messages, here),
            .why = plural(messages, "message") + ", " + plural(static_cast<std::uint64_t>(active), "instance") +
                   ", at most " + std::to_string(rules.max)};
  }
  if (!state.empty_since) state.empty_since = observation.at;
  if (observation.at - *state.empty_since < rules.idle_cooldown) {
    return {.wanted = here, .why = "the queue is empty: instances stay for the idle cooldown"};
  }
  return {.wanted = rules.min, .why = "the queue stayed empty: back to the minimum of " + std::to_string(rules.min)};
}

}  // namespace imgrec
