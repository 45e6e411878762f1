#include "roles/controller/round.hpp"

#include <string>
#include <utility>

namespace imgrec {

ScalingRules scaling_rules(const ControllerConfig& config) {
  ScalingRules rules{.min = config.min,
                     .max = config.max,
                     .idle_cooldown = config.idle_cooldown,
                     .wanted_wait = config.wanted_wait,
                     .keep_alive = config.keep_alive,
                     .instance_dollars_per_hour = config.dearest_price(),
                     .assumed_boot = config.boot_time,
                     .assumed_image_time = config.image_time};
  if (config.max_dollars_per_hour > 0) rules.dollars_per_hour_max = config.max_dollars_per_hour;
  return rules;
}

ReapRules reap_rules(const ControllerConfig& config) {
  return {.ready_timeout = config.ready_timeout, .silent_timeout = config.silent_timeout};
}

RoundOutcome Round::decide(const Observation& observation) {
  Decision decision = within_limits(policy_(observation, state_, rules_), rules_);
  state_.after_gap = false;
  starts_.observe(observation.instances, observation.at, observation.signals);
  Actions actions = reconcile(observation, decision, rules_);
  if (actions.launch > 0 && starts_.pause_left(observation.at) > Millis(0)) {
    actions.total -= actions.launch;
    actions.launch = 0;
    actions.note =
        std::to_string(starts_.in_a_row()) + " times in a row instances ended right after their start: launches wait";
  }
  return {.decision = std::move(decision), .actions = std::move(actions)};
}

}  // namespace imgrec
