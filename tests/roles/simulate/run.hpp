// Runs a scenario's text with one of the controller's policies.
#pragma once

#include <string>

#include "roles/controller/policy/policy.hpp"
#include "roles/simulate/simulation.hpp"

namespace imgrec::test {

struct Run {
  std::string scenario;
  std::string policy = "depth";
  std::string workers = "reference";
  std::uint64_t seed = 1;
  std::uint64_t jobs_max = 20'000;  // fewer jobs than images make tests quick
  simulate::Recording* recording = nullptr;
};

inline simulate::Outcome run(const Run& run) {
  const auto chosen = simulate::find_worker_kind(run.workers).value();
  const auto scenario = simulate::parse_scenario(run.scenario, "test.toml", chosen).value();
  const auto kind = scenario.workers.value_or(chosen);
  const auto workload = simulate::make_workload(scenario, kind, run.seed, run.jobs_max);
  const auto policy = find_policy(run.policy).value();
  const simulate::Setup setup{.scenario = scenario,
                              .kind = kind,
                              .workload = workload,
                              .machines_max = scenario.machines_max,
                              .seed = run.seed};
  const ScalingRules rules{.min = policy.suggested.min, .max = scenario.machines_max};
  return simulate::simulate(setup, simulate::policy_scaler(policy, rules), run.recording);
}

}  // namespace imgrec::test
