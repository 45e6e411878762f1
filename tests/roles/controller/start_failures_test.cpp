#include "roles/controller/start_failures.hpp"

#include <gtest/gtest.h>

namespace imgrec::start_failures_test {
namespace {

const MonoTime kStart{Seconds(1000)};

std::vector<Instance> one(const std::string& id, InstanceState state) {
  return {{.id = InstanceId(id), .state = state, .app_tier_id = ""}};
}

// Launches an instance that is gone at the next look.
void fail_once(StartFailures& failures, MonoTime at) {
  failures.launched(one("i-1", InstanceState::pending));
  failures.observe({}, at);
}

TEST(StartFailures, ThePauseBeginsWithTheSecondAndGrowsToItsLimit) {
  StartFailures failures({.pause_min = Millis(1'000), .pause_max = Millis(5'000)});
  std::vector<Millis> pauses;
  for (int i = 0; i < 100; ++i) {
    fail_once(failures, kStart);
    pauses.push_back(failures.pause_left(kStart));
  }
  pauses.resize(6);
  EXPECT_EQ(pauses, (std::vector<Millis>{Millis(0), Millis(1'000), Millis(2'000), Millis(4'000), Millis(5'000),
                                         Millis(5'000)}));
  EXPECT_EQ(failures.in_a_row(), 100);
  EXPECT_EQ(failures.pause_left(kStart + Millis(4'999)), Millis(1));
  EXPECT_EQ(failures.pause_left(kStart + Millis(5'000)), Millis(0));
}

TEST(StartFailures, OneThatStartsEndsTheSeries) {
  StartFailures failures({});
  for (int i = 0; i < 5; ++i) fail_once(failures, kStart);
  failures.launched(one("i-2", InstanceState::pending));
  failures.observe(one("i-2", InstanceState::running), kStart);
  EXPECT_EQ(failures.in_a_row(), 0);
  EXPECT_EQ(failures.total(), 5);
  EXPECT_EQ(failures.pause_left(kStart), Millis(0));
  failures.observe({}, kStart);
  EXPECT_EQ(failures.in_a_row(), 0) << "what ends after it started is another matter";
}

TEST(StartFailures, RunningIsNotStartedWhereAMachineRunsBeforeItsWorkerDoes) {
  StartFailures failures({.started_after = Seconds(60)});
  failures.launched(one("i-1", InstanceState::pending));
  failures.observe(one("i-1", InstanceState::running), kStart);
  failures.observe(one("i-1", InstanceState::running), kStart + Seconds(59));
  failures.observe(one("i-1", InstanceState::stopping), kStart + Millis(59'500));
  EXPECT_EQ(failures.in_a_row(), 1);
  failures.launched(one("i-2", InstanceState::running));
  failures.observe(one("i-2", InstanceState::running), kStart + Seconds(100));
  failures.observe(one("i-2", InstanceState::running), kStart + Seconds(160));
  EXPECT_EQ(failures.in_a_row(), 0);
}

TEST(StartFailures, OneThatWasToldToEndIsNoFailure) {
  StartFailures failures({});
  failures.launched(one("i-1", InstanceState::pending));
  const InstanceId id("i-1");
  failures.told_to_end({&id, 1});
  failures.observe({}, kStart);
  EXPECT_EQ(failures.total(), 0);
}

TEST(StartFailures, ThoseOfOneRoundCountAsOne) {
  StartFailures failures({});
  for (int i = 0; i < 20; ++i) failures.launched(one("i-" + std::to_string(i), InstanceState::pending));
  failures.observe({}, kStart);
  EXPECT_EQ(failures.in_a_row(), 1);
}

// A worker of the policy `warm` ends by itself as soon as there is nothing more to do.
TEST(StartFailures, AWorkerThatWasReadyHasStartedHoweverSoonItEnds) {
  StartFailures starts({.started_after = Seconds(120)});
  const Instance instance{.id = InstanceId("i-1"), .state = InstanceState::running, .app_tier_id = ""};
  MonoTime now = MonoTime(Seconds(1'000));
  for (int i = 0; i < 5; ++i) {
    starts.launched({&instance, 1});
    starts.observe({&instance, 1}, now, {.instances = {{.ready_since = now}}});
    starts.observe({}, now += Seconds(5));
  }
  EXPECT_EQ(starts.total(), 0);
  EXPECT_EQ(starts.pause_left(now), Millis(0));
}

TEST(StartFailures, AWorkerThatWasReadyHasStartedAlthoughNoLookSawIt) {
  StartFailures starts({});
  const WallTime launched{Seconds(1'700'000'000)};
  const auto gone = [&](WallTime ready_at) {
    starts.launched(std::vector<Instance>{{.id = InstanceId("i-1"),
                                           .state = InstanceState::pending,
                                           .app_tier_id = "app-tier-1",
                                           .launched_at = launched}});
    starts.observe({}, kStart, {.ready_lately = {{.app_tier_id = "app-tier-1", .at = ready_at}}});
    return starts.total();
  };
  EXPECT_EQ(gone(launched + Millis(1)), 0);
  EXPECT_EQ(gone(launched - Millis(1)), 1) << "that was another worker of this App Tier ID";
}

}  // namespace
}  // namespace imgrec::start_failures_test
