#include "roles/simulate/simulation.hpp"

#include <gtest/gtest.h>

#include "tests/roles/simulate/run.hpp"

namespace imgrec::simulate::simulation_test {
namespace {

using test::run;

constexpr auto kBurst = R"(
duration = "20m"
[[arrivals]]
from = "1m"
images = 100
)";

constexpr auto kSteady = R"(
duration = "40m"
machines_max = 12
[[arrivals]]
from = "1m"
to = "30m"
rate_machines = 6
)";

std::string json_of(const Outcome& outcome) {
  Summary summary{.policy = "p", .scenario = "s", .workers = "w"};
  summary.add(outcome);
  return to_json(summary);
}

TEST(Simulation, TheSameSeedGivesTheSameOutcomeByteForByte) {
  for (const NamedPolicy& policy : policies()) {
    const std::string first = json_of(run({.scenario = kSteady, .policy = policy.name, .seed = 7}));
    EXPECT_EQ(first, json_of(run({.scenario = kSteady, .policy = policy.name, .seed = 7}))) << policy.name;
    EXPECT_NE(first, json_of(run({.scenario = kSteady, .policy = policy.name, .seed = 8}))) << policy.name;
  }
}

TEST(Simulation, ARecordingChangesNothing) {
  Recording recording;
  EXPECT_EQ(json_of(run({.scenario = kSteady})), json_of(run({.scenario = kSteady, .recording = &recording})));
  EXPECT_GT(recording.samples.size(), 1'000U);
  EXPECT_FALSE(recording.decisions.empty());
  EXPECT_FALSE(recording.decisions.front().why.empty());
}

TEST(Simulation, DepthLaunchesOneMachinePerMessageUpToItsMaximum) {
  const Outcome outcome = run({.scenario = kBurst});
  EXPECT_EQ(outcome.images, 100U);
  EXPECT_EQ(outcome.answered, 100U);
  EXPECT_EQ(outcome.launches, 20);
  EXPECT_EQ(outcome.machines_max, 20);
  EXPECT_EQ(outcome.orphans, 0);
  // Each boots for three quarters of a minute, and works off five images in six seconds.
  EXPECT_GT(outcome.wait.quantile(0.5), 30);
  EXPECT_LT(outcome.wait.max(), 120);
  EXPECT_EQ(outcome.within_wanted_wait, 100U);
}

TEST(Simulation, EveryImageIsAnsweredOrCountedAsLost) {
  for (const char* loss : {"loss_notice = true", "loss_notice = false"}) {
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
      const Outcome outcome =
          run({.scenario = std::string("losses_per_machine_hour = 20\n") + loss + kSteady, .seed = seed});
      EXPECT_EQ(outcome.answered + outcome.lost, outcome.images) << loss;
      EXPECT_EQ(outcome.wait.images(), outcome.answered);
      EXPECT_GT(outcome.launches, 20) << "machines that were lost are replaced";
      if (loss == std::string("loss_notice = true")) {
        EXPECT_EQ(outcome.redelivered, 0U) << "told before, workers finish what they hold";
        EXPECT_EQ(outcome.lost, 0U);
      } else {
        EXPECT_GT(outcome.redelivered, 0U);
      }
    }
  }
}

TEST(Simulation, NoPolicyExceedsTheMaximumOrGoesBelowTheFloor) {
  for (const char* workers : {"reference", "fast"}) {
    for (const NamedPolicy& policy : policies()) {
      for (const char* scenario : {kBurst, kSteady}) {
        const Outcome outcome = run({.scenario = scenario, .policy = policy.name, .workers = workers});
        EXPECT_EQ(outcome.over_max, 0) << policy.name;
        EXPECT_EQ(outcome.lost, 0U) << policy.name;
        EXPECT_EQ(outcome.answered, outcome.images) << policy.name;
        EXPECT_GT(outcome.floor_usd, 0);
        EXPECT_LE(outcome.floor_usd, outcome.cost_usd) << policy.name << " with " << workers;
      }
    }
  }
}

TEST(Simulation, FaultsOfTheCloudLoseNothingAndLeaveNothing) {
  constexpr auto kFaults = R"(
duration = "60m"
machines_max = 12
[[arrivals]]
from = "1m"
to = "30m"
rate_machines = 6
[[faults]]
to = "40m"
launch_throttled = 0.3
launch_reply_lost = 0.3
unreadable = 0.3
counts_late = "60s"
[[faults]]
from = "5m"
to = "10m"
capacity = 3
[[faults]]
from = "12m"
to = "13m"
controller_down = true
)";
  for (const NamedPolicy& policy : policies()) {
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
      const Outcome outcome = run({.scenario = kFaults, .policy = policy.name, .seed = seed});
      EXPECT_EQ(outcome.answered, outcome.images) << policy.name;
      EXPECT_EQ(outcome.over_max, 0) << policy.name;
      EXPECT_EQ(outcome.orphans, 0) << policy.name;
    }
  }
}

constexpr auto kOwnService = R"(
duration = "5m"
machines_max = 3
[workers]
slots = 1
image = "2s"
sigma = 0
boot = "10s"
boot_sigma = 0
running_share = 0
[service]
counts_late = "0s"
counts_off = 0
look = "1s"
drain_timeout = "20s"
stop_check = "2s"
[[arrivals]]
at_s = [5, 5, 5, 100]
)";

TEST(Simulation, AScenarioHasWorkersAndAServiceOfItsOwn) {
  Recording recording;
  const Outcome outcome = run({.scenario = kOwnService, .recording = &recording});
  EXPECT_EQ(outcome.images, 4U);
  // Seen at the next look, booted for ten seconds, worked on for two.
  EXPECT_NEAR(outcome.wait.quantile(0.5), 12, 1.3);
  const auto sample_at = [&](double at_s) {
    return *std::ranges::find_if(recording.samples, [&](const auto& one) { return one.at_s >= at_s; });
  };
  EXPECT_EQ(sample_at(12).booting, 3);
  EXPECT_EQ(sample_at(16.5).working, 3);
  EXPECT_EQ(sample_at(10).visible, 3U);
}

// Two machines at one image each: a third image is held by one of them before it can begin with it.
TEST(Simulation, WorkersHoldOneImageAhead) {
  Recording recording;
  std::string scenario = kOwnService;
  scenario.replace(scenario.find("machines_max = 3"), 16, "machines_max = 2");
  run({.scenario = scenario, .recording = &recording});
  const auto working = std::ranges::find_if(recording.samples, [](const auto& one) { return one.working == 2; });
  ASSERT_NE(working, recording.samples.end());
  EXPECT_EQ(working->in_flight, 3U);
  EXPECT_EQ(working->visible, 0U);
}

TEST(Simulation, RequestsToStopThatNobodyTakesInTimeEndAnInstance) {
  std::string scenario = kOwnService;
  // No worker looks for a request.
  scenario.replace(scenario.find("stop_check = \"2s\""), 17, "stop_check = \"1h\"");
  Recording recording;
  const Outcome outcome = run({.scenario = scenario, .policy = "drain-pool", .recording = &recording});
  EXPECT_EQ(outcome.answered, 4U);
  EXPECT_EQ(recording.samples.back().working, 0);
  EXPECT_EQ(outcome.orphans, 0);
}

TEST(Simulation, AScenarioWithoutImagesCostsNothingButLooks) {
  const Outcome outcome = run({.scenario = "duration = \"1h\""});
  EXPECT_EQ(outcome.launches, 0);
  EXPECT_EQ(outcome.floor_usd, 0);
  EXPECT_LT(outcome.cost_usd, 0.001);
}

TEST(Simulation, AMillionImagesAreNoMatterOfMinutes) {
  const Outcome outcome = run({.scenario = R"(
duration = "1h"
machines_max = 450
[[arrivals]]
rate_per_second = 60
)",
                               .seed = 3,
                               .jobs_max = 1'000'000});
  EXPECT_GT(outcome.images, 200'000U);
  EXPECT_EQ(outcome.answered, outcome.images);
}

}  // namespace
}  // namespace imgrec::simulate::simulation_test
