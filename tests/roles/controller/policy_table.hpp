// What the tables of policy tests are written with: fleets, observations, and what a policy's answer leads to.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "roles/controller/policy/policy.hpp"
#include "roles/controller/reconcile.hpp"

namespace imgrec::test {

inline const MonoTime kStart{Seconds(1000)};
inline const WallTime kWallStart{Seconds(1'700'000'000)};

/// Oldest first: stopping, running, pending. All were launched `age` before kWallStart.
inline std::vector<Instance> fleet(int running, int pending = 0, int stopping = 0, Millis age = Millis(0)) {
  std::vector<Instance> instances;
  const auto add = [&](int count, InstanceState state) {
    for (int i = 0; i < count; ++i) {
      instances.push_back({.id = InstanceId("i-" + std::to_string(instances.size() + 1)),
                           .state = state,
                           .app_tier_id = "",
                           .launched_at = kWallStart - age});
    }
  };
  add(stopping, InstanceState::stopping);
  add(running, InstanceState::running);
  add(pending, InstanceState::pending);
  return instances;
}

inline QueueDepth messages(std::uint64_t visible, std::uint64_t in_flight = 0, std::uint64_t delayed = 0) {
  return {.visible = visible, .in_flight = in_flight, .delayed = delayed};
}

inline Observation seen(QueueDepth depth, std::vector<Instance> instances = {}, Millis after = Millis(0)) {
  return {.at = kStart + after, .depth = depth, .instances = std::move(instances), .wall = kWallStart + after};
}

struct Outcome {
  Decision decision;
  Actions actions;
};

inline Outcome outcome_of(Policy policy, const Observation& observation, PolicyState& state,
                          const ScalingRules& rules) {
  const Decision decision = policy(observation, state, rules);
  return {.decision = decision, .actions = reconcile(observation, decision, rules)};
}

}  // namespace imgrec::test
