// Seeded runs in which everything fails at times of chance: the cloud, the queue's counts, signals, machines, and the
// controller itself.
#include <gtest/gtest.h>

#include "lib/base/rng.hpp"
#include "tests/roles/simulate/run.hpp"
#include "tests/support/long_run.hpp"

namespace imgrec::simulate::faults_test {
namespace {

using test::run;

// Of each policy; with IMGREC_TEST_LONG ten times as many, with a sanitizer otherwise a fifth.
int count_runs() {
  if (test::long_run()) return 1'000;
  return test::shortened_run() ? 20 : 100;
}

// Faults within half an hour, and then an hour in which nothing fails.
std::string faulty_scenario(std::uint64_t seed) {
  SplitMix64 rng(seed);
  const auto below = [&](int most) { return std::to_string(rng.next() % static_cast<std::uint64_t>(most)); };
  std::string text = "duration = \"90m\"\nmachines_max = " + std::to_string(3 + rng.next() % 10) + "\n";
  text +=
      "[[arrivals]]\nfrom = \"30s\"\nto = \"25m\"\nrate_machines = " + std::to_string(0.5 + 4 * rng.next_unit()) + "\n";
  text += "[[arrivals]]\nfrom = \"" + below(1'500) + "s\"\nimages = " + below(60) + "\n";
  for (int i = 0; i < 6; ++i) {
    const int from_s = static_cast<int>(rng.next() % 1'600);
    text += "[[faults]]\nfrom = \"" + std::to_string(from_s) + "s\"\nto = \"" +
            std::to_string(from_s + 1 + static_cast<int>(rng.next() % 200)) + "s\"\n";
    switch (rng.next() % 7) {
      case 0: text += "controller_down = true\n"; break;
      case 1: text += "launch_reply_lost = 0.7\nshown_late = \"15s\"\n"; break;
      case 2: text += "launch_throttled = 0.7\n"; break;
      case 3: text += "unreadable = 0.6\n"; break;
      case 5: text += "controller_killed = 0.3\n"; break;
      case 4: text += "counts_late = \"60s\"\nsignals_lost = true\n"; break;
      default: text += "capacity = " + below(6) + "\n"; break;
    }
  }
  return text;
}

std::string with_losses(const std::string& scenario, std::uint64_t seed) {
  return std::string("losses_per_machine_hour = 2\nloss_notice = ") + (seed % 2 == 0 ? "true" : "false") + "\n" +
         scenario;
}

class FaultRuns : public testing::TestWithParam<const char*> {};

TEST_P(FaultRuns, NothingIsLostNothingIsLeftAndTheMaximumHolds) {
  const auto runs = static_cast<std::uint64_t>(count_runs());
  for (std::uint64_t seed = 1; seed <= runs; ++seed) {
    const std::string scenario = with_losses(faulty_scenario(seed), seed);
    const Outcome outcome = run({.scenario = scenario, .policy = GetParam(), .seed = seed});
    EXPECT_EQ(outcome.answered, outcome.images) << scenario;
    EXPECT_EQ(outcome.lost, 0U) << scenario;
    EXPECT_EQ(outcome.over_max, 0) << scenario;
    EXPECT_EQ(outcome.orphans, 0) << scenario;
    EXPECT_LE(outcome.floor_usd, outcome.cost_usd) << scenario;
    if (HasFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Policies, FaultRuns,
                         testing::Values("depth", "per-batch", "warm", "drain-pool", "alarm", "backlog", "slo"),
                         [](const auto& one) {
                           std::string name = one.param;
                           std::erase(name, '-');
                           return name;
                         });

}  // namespace
}  // namespace imgrec::simulate::faults_test
