// What one round of the controller decides: policy, then reconcile. Pure, so that the simulator runs the very same
// code.
#pragma once

#include "lib/config/config.hpp"
#include "roles/controller/policy/policy.hpp"
#include "roles/controller/reaper.hpp"
#include "roles/controller/reconcile.hpp"
#include "roles/controller/start_failures.hpp"

namespace imgrec {

struct RoundOutcome {
  Decision decision;
  Actions actions;
};

/// The rules that the settings are.
ScalingRules scaling_rules(const ControllerConfig& config);
ReapRules reap_rules(const ControllerConfig& config);

/// Remembers between rounds what its policy does. Not thread-safe; no I/O, no clock, no log.
class Round {
 public:
  /// `starts` is told what is there, and makes launches wait while instances end right after their start.
  Round(Policy policy, const ScalingRules& rules, StartFailures& starts)
      : policy_(policy), rules_(rules), starts_(starts) {}

  RoundOutcome decide(const Observation& observation);

  /// A round that could not be observed: neither a reason to launch nor a part of "the queue stayed empty".
  void not_observed() { state_.after_gap = true; }

 private:
  const Policy policy_;
  const ScalingRules rules_;
  StartFailures& starts_;
  PolicyState state_;
};

}  // namespace imgrec
