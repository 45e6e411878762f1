#include "roles/controller/round.hpp"

#include <string>
#include <utility>

namespace imgrec {

RoundOutcome Round::decide(const Observation& observation) {
  Decision decision = policy_(observation, state_, rules_);
  state_.after_gap = false;
  starts_.observe(observation.instances, observation.at);
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
