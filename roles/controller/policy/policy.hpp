// CHANGE SCALING HERE. A policy is pure: what was observed goes in, how many workers are wanted comes out, and why.
// How to add one: README.md beside this file.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "lib/base/result.hpp"
#include "lib/base/units.hpp"
#include "lib/ports/fleet.hpp"
#include "lib/ports/message_queue.hpp"

namespace imgrec {

struct Observation {
  MonoTime at{};
  QueueDepth depth;
  std::vector<Instance> instances;  // pending, running and stopping; oldest first
};

struct ScalingRules {
  int min = 0;
  int max = 1;
  Millis idle_cooldown{10'000};  // the queue has to be empty this long before instances go
};

/// What a policy remembers between two decisions. It is emptied when a round could not be observed.
struct PolicyState {
  std::optional<MonoTime> empty_since;
};

struct Decision {
  int wanted = 0;   // instances that should be pending or running; kept between min and max by whoever acts on it
  std::string why;  // one sentence for the log
};

using Policy = Decision (*)(const Observation&, PolicyState&, const ScalingRules&);

/// `depth`: wanted = min(messages not yet removed, max), never fewer than there are while any message is left, and
/// `min` once the queue has been empty (nothing visible, in flight or delayed) for idle_cooldown.
Decision decide_depth(const Observation& observation, PolicyState& state, const ScalingRules& rules);

/// Errors: invalid "no_such_policy" (names those there are).
Result<Policy> find_policy(const std::string& name);

/// Instances that are pending or running.
int count_active(const std::vector<Instance>& instances);

}  // namespace imgrec
