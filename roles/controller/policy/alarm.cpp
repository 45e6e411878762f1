// The policy `alarm`: what an Auto Scaling Group does with two CloudWatch alarms on the queue and step scaling.
//
// Sources:
// - SQS gives CloudWatch one datapoint a minute (Amazon SQS Developer Guide, "Monitoring queues using CloudWatch"), and
//   an alarm with a period of a minute or more is evaluated every minute (CloudWatch User Guide, "Using alarms"). An
//   alarm that stays in its state calls its scaling policy again each minute (Amazon EC2 Auto Scaling User Guide, "Step
//   and simple scaling policies").
// - A step's bounds are relative to the alarm's threshold; above it the lower bound is inclusive and the upper one
//   exclusive, below it the other way round (API reference, StepAdjustment).
// - Instances that still warm up are part of the capacity that a further alarm in the same step starts from, so it adds
//   nothing; a greater step adds the difference. Nothing is scaled in while instances warm up. The warm-up is the
//   group's default cooldown where nothing else is set: 300 s (the same guide, "Step scaling policies", "Scaling
//   cooldowns").
#include <algorithm>
#include <cmath>
#include <span>

#include "roles/controller/policy/alarm_rule.hpp"
#include "roles/controller/policy/policy.hpp"
#include "roles/controller/policy/words.hpp"

namespace imgrec {
namespace {

using policy_words::plural;

using namespace alarm_rule;

constexpr Seconds kPeriod{60};
constexpr Seconds kWarmUp{kWarmUpSeconds};

struct AlarmMemory {
  std::optional<int> desired;
  std::optional<MonoTime> datapoint_at;
  int before_warm_up = 0;  // the capacity before the instances that warm up
  MonoTime warm_at = MonoTime::min();
};

int step_for(std::span<const Step> steps, double distance) {
  for (const Step& step : steps) {
    const bool inside = distance >= 0 ? distance >= step.lower && distance < step.upper
                                      : distance > step.lower && distance <= step.upper;
    if (inside) return step.change;
  }
  return 0;
}

// What the datapoint makes of the desired capacity; the reason why.
std::string evaluate(AlarmMemory& memory, double visible, MonoTime now, const ScalingRules& rules) {
  const bool warming = now < memory.warm_at;
  int& desired = *memory.desired;
  if (visible > kOutThreshold) {
    const int base = warming ? memory.before_warm_up : desired;
    const int limit = std::max(1, instance_limit(rules));
    const int wanted = std::min(limit, base + step_for(kOutSteps, visible - kOutThreshold));
    if (wanted <= desired) return "the alarm for more has nothing to add";
    memory.before_warm_up = base;
    memory.warm_at = now + kWarmUp;
    desired = wanted;
    return "the alarm for more (above 2) adds a step";
  }
  if (visible < kInThreshold) {
    if (warming) return "the alarm for fewer waits until all instances are warm";
    desired = std::max({1, rules.min, desired + step_for(kInSteps, visible - kInThreshold)});
    return "the alarm for fewer (below 3) takes a step";
  }
  return "no alarm";
}

}  // namespace

Decision decide_alarm(const Observation& observation, PolicyState& state, const ScalingRules& rules) {
  auto& memory = state.get<AlarmMemory>();
  if (!memory.desired) memory.desired = std::max({1, rules.min, count_projected(observation)});
  const auto visible = observation.depth.visible;
  std::string reason = "between two datapoints";
  if (!memory.datapoint_at || observation.at - *memory.datapoint_at >= kPeriod) {
    memory.datapoint_at = observation.at;
    reason = evaluate(memory, static_cast<double>(visible), observation.at, rules);
  }
  return {.wanted = *memory.desired,
          .why = plural(visible, "visible message") + ": " + reason + "; the group wants " +
                 std::to_string(*memory.desired),
          .ending = Ending::terminate};
}

}  // namespace imgrec
