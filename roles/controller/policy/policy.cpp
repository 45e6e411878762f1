#include "roles/controller/policy/policy.hpp"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <unordered_set>

namespace imgrec {
namespace {

// One line for each policy.
constexpr NamedPolicy kPolicies[] = {
    {"depth", "one worker per message; all go when the queue stayed empty", &decide_depth, {0, 20}},
    {"per-batch", "one worker per ten messages", &decide_per_batch, {0, 20}},
    {"warm", "one worker that never ends, and one more per visible message", &decide_warm, {1, 18, Seconds(10)}},
    {"drain-pool", "one worker per message; the surplus is asked to stop and called back", &decide_drain_pool, {0, 19}},
    {"alarm", "an Auto Scaling Group with two alarms on the queue and step scaling", &decide_alarm, {1, 19}},
    {"backlog", "AWS's recipe: backlog per worker = wanted wait / time per image", &decide_backlog, {0, 20}},
    {"slo", "as few workers as answer each image within the wanted wait", &decide_slo, {0, 20}},
};

}  // namespace

std::span<const NamedPolicy> policies() {
  return kPolicies;
}

Result<NamedPolicy> find_policy(const std::string& name) {
  std::string names;
  for (const NamedPolicy& policy : kPolicies) {
    if (policy.name == name) return policy;
    names += (names.empty() ? "" : ", ") + std::string(policy.name);
  }
  return fail(ErrorKind::invalid, "no_such_policy",
              "There is no scaling policy \"" + name + "\"; there is: " + names + ".");
}

int instance_limit(const ScalingRules& rules) {
  if (!rules.dollars_per_hour_max || rules.instance_dollars_per_hour <= 0) return rules.max;
  // The quotient of 1.2 and 0.4 is a little less than 3.
  const double affordable = std::floor(*rules.dollars_per_hour_max / rules.instance_dollars_per_hour + 1e-9);
  return static_cast<int>(std::clamp(affordable, 0.0, static_cast<double>(rules.max)));
}

std::uint64_t count_messages(const QueueDepth& depth) {
  return depth.visible + depth.in_flight + depth.delayed;
}

int count_active(const std::vector<Instance>& instances) {
  return static_cast<int>(instances.size()) -
         static_cast<int>(std::ranges::count(instances, InstanceState::stopping, &Instance::state));
}

std::unordered_set<std::string_view> ids_that_end(const Observation& observation) {
  std::unordered_set<std::string_view> ids;
  ids.reserve(observation.drains.confirmed.size() + observation.reaped.size());
  for (const InstanceId& id : observation.drains.confirmed) ids.insert(id.str());
  for (const InstanceId& id : observation.reaped) ids.insert(id.str());
  return ids;
}

int count_projected(const Observation& observation) {
  int projected = count_active(observation.instances) - observation.drains.requested;
  if (observation.drains.confirmed.empty() && observation.reaped.empty()) return projected;
  const std::unordered_set<std::string_view> gone = ids_that_end(observation);
  for (const Instance& instance : observation.instances) {
    projected -= instance.state != InstanceState::stopping && gone.contains(instance.id.str());
  }
  return projected;
}

}  // namespace imgrec
