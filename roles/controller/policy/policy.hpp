// CHANGE SCALING HERE. A policy is pure: what was observed goes in, how many workers are wanted comes out, and why.
// How to add one: README.md beside this file.
#pragma once

#include <any>
#include <limits>
#include <optional>
#include <span>
#include <string>

#include "lib/base/result.hpp"
#include "lib/base/units.hpp"
#include "roles/controller/policy/observation.hpp"

namespace imgrec {

struct ScalingRules {
  int min = 0;
  int max = 1;
  Millis idle_cooldown{10'000};  // the queue has to be empty this long before instances go
  Millis wanted_wait{30'000};    // from an image's arrival to its answer
  Millis keep_alive{300'000};    // an idle instance is kept through gaps between arrivals that are no longer
  std::optional<double> dollars_per_hour_max{};  // absent: no limit but `max`
  double instance_dollars_per_hour = 0;          // 0: instances cost nothing
  Millis billed_min{60'000};                     // of each launch, however soon it ends; then by the second
  Millis assumed_boot{60'000};                   // from launch to ready, while no boot has been measured
  Millis assumed_image_time{1'000};              // of one busy instance per image, while none has been measured
};

/// The most instances that `max` and the dollars allow.
int instance_limit(const ScalingRules& rules);

/// What a policy remembers between two decisions, in a type of its own. Can be copied.
class PolicyState {
 public:
  /// The policy's memory; a new one at its first use.
  template <class Memory>
  Memory& get() {
    if (auto* memory = std::any_cast<Memory>(&memory_)) return *memory;
    return memory_.emplace<Memory>();
  }

  /// True when the round before this one could not be read: nothing is known of the time between, so it is no part of
  /// "the queue stayed empty". Set and cleared by whoever runs the rounds.
  bool after_gap = false;

 private:
  std::any memory_;
};

/// How instances that are too many go.
enum class Ending {
  drain,      // asked to stop, where that is possible; ended once they hold nothing
  terminate,  // told to end at once; they finish what they hold while the fleet shuts them down
};

struct Decision {
  int wanted = 0;   // instances there to stay; kept between min and the limit by whoever acts on it
  std::string why;  // one sentence for people: what was seen, the rule, and why not more
  Ending ending = Ending::drain;
  bool settled = false;  // as long as no message is seen, the next decisions will be the same for minutes
  int take_back_max = std::numeric_limits<int>::max();  // requests to stop taken back in one round
};

using Policy = Decision (*)(const Observation&, PolicyState&, const ScalingRules&);

struct NamedPolicy {
  const char* name;
  const char* summary;  // one sentence
  Policy decide;
  /// As its rule was published, or as it is meant: instances, and the time between two looks.
  struct Suggested {
    int min = 0;
    int max = 20;
    Millis interval{5'000};
  } suggested{};
};

/// Every policy, one line each.
std::span<const NamedPolicy> policies();

/// Errors: invalid "no_such_policy" (names those there are).
Result<NamedPolicy> find_policy(const std::string& name);

/// `depth`: wanted = min(messages not yet removed, max), never fewer than there are while any message is left, and
/// `min` once the queue has been empty (nothing visible, in flight or delayed) for idle_cooldown.
Decision decide_depth(const Observation& observation, PolicyState& state, const ScalingRules& rules);

/// `per-batch`: wanted = messages / 10, rounded up, at most max; those that are too many are terminated.
Decision decide_per_batch(const Observation& observation, PolicyState& state, const ScalingRules& rules);

/// `warm`: one base worker always. While messages are visible: wanted = visible, at most max, never fewer than there
/// are; else the base and those that still work.
Decision decide_warm(const Observation& observation, PolicyState& state, const ScalingRules& rules);

/// `drain-pool`: wanted = min(visible + in flight, max). Surplus is asked to stop; at most 10 requests are taken back
/// in one round.
Decision decide_drain_pool(const Observation& observation, PolicyState& state, const ScalingRules& rules);

/// `alarm`: step scaling by two CloudWatch alarms; sources in alarm.cpp. Never fewer than one.
Decision decide_alarm(const Observation& observation, PolicyState& state, const ScalingRules& rules);

/// `backlog`: wanted = messages / (wanted_wait / time of one image), rounded up; fewer only after idle_cooldown.
Decision decide_backlog(const Observation& observation, PolicyState& state, const ScalingRules& rules);

/// `slo`: predicts the backlog at the moment when an instance launched now would work; the rule is in slo.cpp.
Decision decide_slo(const Observation& observation, PolicyState& state, const ScalingRules& rules);

}  // namespace imgrec
