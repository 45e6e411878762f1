// The policy `depth`: one instance per message, up to max.
#include <algorithm>
#include <string>

#include "roles/controller/policy/policy.hpp"
#include "roles/controller/policy/words.hpp"

namespace imgrec {
namespace {

using policy_words::plural;

struct DepthMemory {
  std::optional<MonoTime> empty_since;
};

}  // namespace

Decision decide_depth(const Observation& observation, PolicyState& state, const ScalingRules& rules) {
  auto& memory = state.get<DepthMemory>();
  if (state.after_gap) memory = {};
  const int limit = instance_limit(rules);
  const std::uint64_t messages = count_messages(observation.depth);
  const int there = std::max(0, count_projected(observation));
  const int here = std::min(std::max(there, rules.min), limit);

  if (messages > 0) {
    memory.empty_since.reset();
    const int for_messages = static_cast<int>(std::min(messages, static_cast<std::uint64_t>(limit)));
    return {.wanted = std::max(for_messages, here),
            .why = plural(messages, "message") + ", " + plural(static_cast<std::uint64_t>(there), "instance") +
                   ", at most " + std::to_string(limit)};
  }
  if (!memory.empty_since) memory.empty_since = observation.at;
  if (observation.at - *memory.empty_since < rules.idle_cooldown) {
    return {.wanted = here, .why = "the queue is empty: instances stay for the idle cooldown"};
  }
  return {.wanted = rules.min, .why = "the queue stayed empty: back to the minimum of " + std::to_string(rules.min)};
}

}  // namespace imgrec
