// The policy `depth`: one instance per message, up to max.
#include <algorithm>
#include <string>

#include "roles/controller/policy/policy.hpp"

namespace imgrec {
namespace {

std::string plural(std::uint64_t count, const char* noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

// The newest go first: they are the likeliest to be still booting, and those with the lowest numbers (app-tier-1, …)
// and the warmest caches stay. An idle one cannot be picked, since a fleet does not know who is idle; none has to be,
// since instances go only when the queue is empty, and each drains before it ends.
std::vector<InstanceId> newest(const std::vector<Instance>& oldest_first, int count) {
  std::vector<InstanceId> ids;
  for (auto instance = oldest_first.rbegin(); instance != oldest_first.rend() && count > 0; ++instance) {
    if (instance->state == InstanceState::stopping) continue;
    ids.push_back(instance->id);
    --count;
  }
  return ids;
}

}  // namespace

Decision decide_depth(const Observation& observation, PolicyState& state, const ScalingRules& rules) {
  const QueueDepth& depth = observation.depth;
  // What is in flight counts too: its worker may be gone. What is delayed will come.
  const std::uint64_t messages = depth.visible + depth.in_flight + depth.delayed;
  const int all = static_cast<int>(observation.instances.size());
  const int active =
      all - static_cast<int>(std::ranges::count(observation.instances, InstanceState::stopping, &Instance::state));
  const int here = std::clamp(active, rules.min, rules.max);

  Decision decision;
  if (messages > 0) {
    state.empty_since.reset();
    const int for_messages = static_cast<int>(std::min<std::uint64_t>(messages, static_cast<std::uint64_t>(rules.max)));
    decision.wanted = std::max(for_messages, here);
    decision.why = plural(messages, "message") + ", " + plural(static_cast<std::uint64_t>(active), "instance") +
                   ", at most " + std::to_string(rules.max);
  } else {
    if (!state.empty_since) state.empty_since = observation.at;
    const bool cooled_down = observation.at - *state.empty_since >= rules.idle_cooldown;
    decision.wanted = cooled_down ? rules.min : here;
    decision.why = cooled_down ? "the queue stayed empty: back to the minimum of " + std::to_string(rules.min)
                               : "the queue is empty: instances stay for the idle cooldown";
  }
  if (decision.wanted > active) {
    // An instance that is stopping still takes its place.
    decision.launch = std::max(0, std::min(decision.wanted - active, rules.max - all));
    if (decision.launch < decision.wanted - active) decision.why += "; waiting for instances that are stopping";
  } else {
    decision.terminate = newest(observation.instances, active - decision.wanted);
  }
  if (active > rules.max) decision.why += "; more than the maximum are there";
  return decision;
}

}  // namespace imgrec
