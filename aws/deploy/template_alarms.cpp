// The policy `alarm` as AWS's own doing: two alarms on the queue of requests, whose scaling policies size the workers'
// group.
#include <nlohmann/json.hpp>
#include <utility>

#include "aws/deploy/template_policies.hpp"
#include "aws/deploy/template_private.hpp"

namespace imgrec::aws::template_private {
namespace {

constexpr int kPeriodSeconds = 60;  // SQS gives CloudWatch one datapoint a minute

// Steps of a policy: distances from the alarm's threshold, and the change of capacity.
Json steps_of(const std::vector<AlarmStep>& steps) {
  Json out = Json::array();
  for (const AlarmStep& step : steps) {
    Json one = Json::object();
    if (step.lower) one["MetricIntervalLowerBound"] = *step.lower;
    if (step.upper) one["MetricIntervalUpperBound"] = *step.upper;
    one["ScalingAdjustment"] = step.change;
    out.push_back(std::move(one));
  }
  return out;
}

Json scaling_policy(const AlarmRule& rule, int warm_up_seconds) {
  Json properties = {{"AutoScalingGroupName", reference_to("WorkerGroup")},
                     {"PolicyType", "StepScaling"},
                     {"AdjustmentType", "ChangeInCapacity"},
                     {"MetricAggregationType", "Average"},
                     {"StepAdjustments", steps_of(rule.steps)}};
  // Only what adds machines has some that warm up.
  if (rule.above) properties["EstimatedInstanceWarmup"] = warm_up_seconds;
  return {{"Type", "AWS::AutoScaling::ScalingPolicy"}, {"Properties", std::move(properties)}};
}

Json alarm(const Config& config, const char* name, const AlarmRule& rule, const char* policy_id) {
  return {{"Type", "AWS::CloudWatch::Alarm"},
          {"Properties",
           {{"AlarmName", stack_name_of(config, name)},
            {"AlarmDescription", "Sizes the workers' group of imgrec"},
            {"Namespace", "AWS/SQS"},
            {"MetricName", "ApproximateNumberOfMessagesVisible"},
            {"Dimensions", Json::array({{{"Name", "QueueName"}, {"Value", attribute("RequestQueue", "QueueName")}}})},
            {"Statistic", "Average"},
            {"Period", kPeriodSeconds},
            {"EvaluationPeriods", 1},
            {"Threshold", rule.threshold},
            {"ComparisonOperator", rule.above ? "GreaterThanThreshold" : "LessThanThreshold"},
            {"AlarmActions", Json::array({reference_to(policy_id)})},
            {"Tags", tags_of(config, kFleetTagName)}}}};
}

}  // namespace

void add_alarms(Json& resources, const Config& config, const AlarmRules& rules) {
  resources["ScaleOutPolicy"] = scaling_policy(rules.out, rules.warm_up_seconds);
  resources["ScaleInPolicy"] = scaling_policy(rules.in, rules.warm_up_seconds);
  resources["ScaleOutAlarm"] = alarm(config, "scale-out", rules.out, "ScaleOutPolicy");
  resources["ScaleInAlarm"] = alarm(config, "scale-in", rules.in, "ScaleInPolicy");
}

}  // namespace imgrec::aws::template_private
