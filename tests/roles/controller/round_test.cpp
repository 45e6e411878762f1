#include "roles/controller/round.hpp"

#include <gtest/gtest.h>

namespace imgrec::round_test {
namespace {

Observation seen(MonoTime at, std::uint64_t visible, std::vector<Instance> instances = {}) {
  return {.at = at, .depth = {.visible = visible}, .instances = std::move(instances)};
}

TEST(Round, AnswersThePolicysNumberAndWhatFollowsFromIt) {
  StartFailures starts({});
  Round round(&decide_depth, {.min = 0, .max = 4}, starts);
  const RoundOutcome outcome = round.decide(seen(MonoTime{}, 3));
  EXPECT_EQ(outcome.decision.wanted, 3);
  EXPECT_EQ(outcome.actions.launch, 3);
  EXPECT_EQ(outcome.actions.total, 3);
}

TEST(Round, LaunchesWaitWhileInstancesEndRightAfterTheirStart) {
  StartFailures starts({.started_after = Millis(1'000), .pause_min = Millis(5'000)});
  Round round(&decide_depth, {.min = 0, .max = 4}, starts);
  MonoTime now{};
  for (int i = 0; i < 2; ++i) {
    starts.launched(std::vector<Instance>{{.id = InstanceId("i-" + std::to_string(i)), .app_tier_id = "app-tier-1"}});
    now += Millis(100);
    if (i > 0) break;
    EXPECT_EQ(round.decide(seen(now, 3)).actions.launch, 3) << "one failure is no pattern";
  }
  const RoundOutcome outcome = round.decide(seen(now, 3));
  EXPECT_EQ(outcome.decision.wanted, 3);
  EXPECT_EQ(outcome.actions.launch, 0);
  EXPECT_EQ(outcome.actions.total, 0);
  EXPECT_NE(outcome.actions.note.find("launches wait"), std::string::npos) << outcome.actions.note;
  EXPECT_EQ(round.decide(seen(now + Millis(5'000), 3)).actions.launch, 3);
}

TEST(Round, TimeThatNobodySawIsNoPartOfTheCooldown) {
  StartFailures starts({});
  Round round(&decide_depth, {.min = 0, .max = 4, .idle_cooldown = Millis(1'000)}, starts);
  const std::vector<Instance> one = {
      {.id = InstanceId("i-1"), .state = InstanceState::running, .app_tier_id = "app-tier-1"}};
  EXPECT_TRUE(round.decide(seen(MonoTime{}, 0, one)).actions.terminate.empty());
  round.not_observed();
  EXPECT_TRUE(round.decide(seen(MonoTime(Millis(1'500)), 0, one)).actions.terminate.empty());
  EXPECT_EQ(round.decide(seen(MonoTime(Millis(2'500)), 0, one)).actions.terminate.size(), 1U);
}

}  // namespace
}  // namespace imgrec::round_test
