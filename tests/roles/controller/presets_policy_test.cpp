// The ways of scaling of the reference systems, by their published observations.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/roles/controller/policy_table.hpp"
#include "tests/support/fake_clock.hpp"

namespace imgrec::presets_policy_test {
namespace {

using test::fleet;
using test::messages;
using test::Outcome;
using test::outcome_of;
using test::seen;
using testing::ElementsAre;
using testing::HasSubstr;

struct Row {
  const char* name;
  const char* policy;
  QueueDepth depth;
  int running, requested;
  int wanted, launch, ask, take_back;
  std::size_t terminate;
};

class PresetTable : public testing::TestWithParam<Row> {};

// Each with the limits it was published with, and requests to stop possible.
TEST_P(PresetTable, IsAsPublished) {
  const Row& row = GetParam();
  const NamedPolicy policy = *find_policy(row.policy);
  Observation observation = seen(row.depth, fleet(row.running));
  observation.drains = {.possible = true, .requested = row.requested};
  PolicyState state;
  const ScalingRules rules{.min = policy.suggested.min, .max = policy.suggested.max, .idle_cooldown = Millis(0)};
  const Outcome outcome = outcome_of(policy.decide, observation, state, rules);
  SCOPED_TRACE(outcome.decision.why);
  EXPECT_EQ(outcome.decision.wanted, row.wanted);
  EXPECT_EQ(outcome.actions.launch, row.launch);
  EXPECT_EQ(outcome.actions.ask, row.ask);
  EXPECT_EQ(outcome.actions.take_back, row.take_back);
  EXPECT_EQ(outcome.actions.terminate.size(), row.terminate);
}

INSTANTIATE_TEST_SUITE_P(
    Published, PresetTable,
    testing::Values(
        //  name                         policy        depth              run req  wanted launch ask back terminate
        Row{"DepthEmpty", "depth", messages(0), 0, 0, 0, 0, 0, 0, 0},
        Row{"DepthTen", "depth", messages(10), 0, 0, 10, 10, 0, 0, 0},
        Row{"DepthHundred", "depth", messages(100), 0, 0, 20, 20, 0, 0, 0},
        Row{"PerBatchEmpty", "per-batch", messages(0), 0, 0, 0, 0, 0, 0, 0},
        Row{"PerBatchOne", "per-batch", messages(1), 0, 0, 1, 1, 0, 0, 0},
        Row{"PerBatchTen", "per-batch", messages(10), 0, 0, 1, 1, 0, 0, 0},
        Row{"PerBatchEleven", "per-batch", messages(11), 0, 0, 2, 2, 0, 0, 0},
        Row{"PerBatchHundred", "per-batch", messages(100), 0, 0, 10, 10, 0, 0, 0},
        Row{"PerBatchMost", "per-batch", messages(1000), 0, 0, 20, 20, 0, 0, 0},
        Row{"PerBatchSurplusEnds", "per-batch", messages(10), 10, 0, 1, 0, 0, 0, 9},
        Row{"PerBatchAllEnd", "per-batch", messages(0), 10, 0, 0, 0, 0, 0, 10},
        Row{"WarmBaseAlone", "warm", messages(0), 1, 0, 1, 0, 0, 0, 0},
        Row{"WarmBaseIsLaunched", "warm", messages(0), 0, 0, 1, 1, 0, 0, 0},
        Row{"WarmEight", "warm", messages(8), 1, 0, 8, 7, 0, 0, 0},
        Row{"Warm36", "warm", messages(36), 1, 0, 18, 17, 0, 0, 0},
        Row{"Warm80", "warm", messages(80), 18, 0, 18, 0, 0, 0, 0},
        Row{"Warm71", "warm", messages(71), 18, 0, 18, 0, 0, 0, 0},
        Row{"Warm63", "warm", messages(63), 18, 0, 18, 0, 0, 0, 0},
        Row{"WarmNoneEndsWhileAnyIsVisible", "warm", messages(1), 18, 0, 18, 0, 0, 0, 0},
        Row{"WarmThoseThatWorkStay", "warm", messages(0, 3), 18, 0, 3, 0, 15, 0, 0},
        Row{"WarmOthersEnd", "warm", messages(0), 18, 0, 1, 0, 17, 0, 0},
        Row{"DrainPoolHundred", "drain-pool", messages(100), 0, 0, 19, 19, 0, 0, 0},
        Row{"DrainPoolOneTooMany", "drain-pool", messages(10, 8), 19, 0, 18, 0, 1, 0, 0},
        Row{"DrainPoolAskedOnce", "drain-pool", messages(10, 8), 19, 1, 18, 0, 0, 0, 0},
        Row{"DrainPoolBurst", "drain-pool", messages(10), 5, 5, 10, 5, 0, 5, 0},
        Row{"DrainPoolTenAtMostTakenBack", "drain-pool", messages(19), 19, 14, 19, 0, 0, 10, 0}),
    [](const auto& one) { return one.param.name; });

TEST(DrainPool, OnlyTheOneThatConfirmedIsTerminated) {
  Observation observation = seen(messages(10, 8), fleet(19));
  observation.drains = {.possible = true, .requested = 0, .confirmed = {InstanceId("i-7")}};
  PolicyState state;
  const Outcome outcome = outcome_of(&decide_drain_pool, observation, state, {.min = 0, .max = 19});
  EXPECT_THAT(outcome.actions.terminate, ElementsAre(InstanceId("i-7")));
  EXPECT_EQ(outcome.actions.ask, 0);
}

TEST(Warm, TheBaseWorkerIsThereWithAnyMinimum) {
  PolicyState state;
  EXPECT_EQ(decide_warm(seen(messages(0), fleet(1)), state, {.min = 0, .max = 18}).wanted, 1);
}

class Alarm : public testing::Test {
 protected:
  int wanted(Seconds after, std::uint64_t visible, int running) {
    return decide_alarm(seen(messages(visible), fleet(running), after), state_, rules_).wanted;
  }
  PolicyState state_;
  ScalingRules rules_{.min = 1, .max = 19};
};

TEST_F(Alarm, AHundredImagesFillTheGroupAndAnEmptyQueueLeavesOne) {
  EXPECT_EQ(wanted(Seconds(0), 0, 1), 1);
  EXPECT_EQ(wanted(Seconds(30), 100, 1), 1) << "a datapoint a minute";
  EXPECT_EQ(wanted(Seconds(60), 100, 1), 19);
  EXPECT_EQ(wanted(Seconds(120), 60, 19), 19);
  EXPECT_EQ(wanted(Seconds(180), 0, 19), 19) << "nothing goes while instances warm up";
  EXPECT_EQ(wanted(Seconds(360), 0, 19), 13);
  EXPECT_EQ(wanted(Seconds(390), 0, 13), 13);
  EXPECT_EQ(wanted(Seconds(420), 0, 13), 7);
  EXPECT_EQ(wanted(Seconds(480), 0, 7), 1);
  EXPECT_EQ(wanted(Seconds(540), 0, 1), 1);
}

struct Datapoint {
  const char* name;
  std::uint64_t visible;
  int from, to;
};
class AlarmSteps : public testing::TestWithParam<Datapoint> {};
TEST_P(AlarmSteps, BoundsAreRelativeToTheThreshold) {
  PolicyState state;
  const Datapoint& row = GetParam();
  const Decision decision = decide_alarm(seen(messages(row.visible), fleet(row.from)), state, {.min = 1, .max = 19});
  EXPECT_EQ(decision.wanted, row.to) << decision.why;
}
INSTANTIATE_TEST_SUITE_P(All, AlarmSteps,
                         testing::Values(Datapoint{"Nothing", 0, 10, 4}, Datapoint{"One", 1, 10, 4},
                                         Datapoint{"TwoIsFewerThanThree", 2, 10, 9},
                                         Datapoint{"ThreeIsMoreThanTwo", 3, 10, 11}, Datapoint{"Eleven", 11, 10, 11},
                                         Datapoint{"Twelve", 12, 10, 16}, Datapoint{"FiftyOne", 51, 1, 7},
                                         Datapoint{"FiftyTwo", 52, 1, 19}),
                         [](const auto& one) { return one.param.name; });

TEST_F(Alarm, AFurtherAlarmInTheSameStepAddsNothingWhileInstancesWarmUp) {
  EXPECT_EQ(wanted(Seconds(0), 8, 1), 2);
  EXPECT_EQ(wanted(Seconds(60), 8, 2), 2);
  EXPECT_EQ(wanted(Seconds(120), 20, 2), 7) << "a greater step adds the difference";
  EXPECT_EQ(wanted(Seconds(420), 20, 7), 13) << "all are warm: the step is added again";
}

TEST(Backlog, IsTheWantedWaitDividedByTheTimeOfOneImage) {
  ScalingRules rules{.min = 0, .max = 20, .idle_cooldown = Millis(10'000)};
  rules.wanted_wait = Seconds(30);
  rules.assumed_image_time = Seconds(2);  // 15 per instance
  const auto wanted = [&](QueueDepth depth, std::optional<double> image_seconds = {}) {
    Observation observation = seen(depth);
    observation.signals.image_seconds = image_seconds;
    PolicyState state;
    return decide_backlog(observation, state, rules).wanted;
  };
  EXPECT_EQ(wanted(messages(0)), 0);
  EXPECT_EQ(wanted(messages(1)), 1);
  EXPECT_EQ(wanted(messages(15)), 1);
  EXPECT_EQ(wanted(messages(10, 6)), 2) << "in flight counts";
  EXPECT_EQ(wanted(messages(1000)), 20);
  EXPECT_EQ(wanted(messages(1000), 0.3), 10) << "what was measured counts before what is assumed";
  EXPECT_EQ(wanted(messages(3), 100.0), 3) << "an image longer than the wait: one instance each";
}

TEST(Backlog, InstancesGoWhenFewerWereNeededForTheWholeCooldown) {
  PolicyState state;
  ScalingRules rules{.min = 0, .max = 20, .idle_cooldown = Millis(10'000)};
  rules.assumed_image_time = Seconds(2);
  const auto wanted = [&](Seconds after, std::uint64_t in_flight) {
    return decide_backlog(seen(messages(0, in_flight), fleet(4), after), state, rules).wanted;
  };
  EXPECT_EQ(wanted(Seconds(0), 60), 4);
  EXPECT_EQ(wanted(Seconds(1), 5), 4);
  EXPECT_EQ(wanted(Seconds(6), 40), 4);
  EXPECT_EQ(wanted(Seconds(11), 5), 3) << "three were needed meanwhile";
  EXPECT_EQ(wanted(Seconds(12), 0), 4);
  EXPECT_EQ(wanted(Seconds(22), 0), 0);
}

// Whatever is observed, a policy answers, says why, and reconcile keeps the limits.
TEST(EveryPolicy, AnswersWhateverIsObserved) {
  test::SeededRng rng(5);
  const auto below = [&](std::uint64_t limit) { return static_cast<int>(rng.next() % limit); };
  const auto some = [&](int limit) {
    return static_cast<std::uint64_t>(below(3) == 0 ? 0 : below(static_cast<std::uint64_t>(limit)));
  };
  for (const NamedPolicy& policy : policies()) {
    SCOPED_TRACE(policy.name);
    PolicyState state;
    Millis after{0};
    for (int round = 0; round < 5'000 && !testing::Test::HasFailure(); ++round) {
      after += Millis(below(10'000));
      Observation observation = seen(messages(some(500), some(50), some(3)),
                                     fleet(below(8), below(4), below(4), Millis(below(200'000))), after);
      if (below(50) == 0) observation.depth.visible = ~0ULL / 4;
      observation.drains = {.possible = below(2) == 0, .requested = below(4)};
      if (below(2) == 0) {
        observation.signals = {.arrivals_per_s = below(100) / 10.0,
                               .last_arrival = observation.at - Millis(below(400'000)),
                               .quiet_gaps = {Millis(5'000 + below(600'000))},
                               .image_seconds = below(3) / 2.0,
                               .boot_mean = Millis(below(90'000)),
                               .boot_high = Millis(below(120'000))};
        observation.signals.instances.resize(observation.instances.size());
        for (InstanceSignals& said : observation.signals.instances) {
          if (below(2) == 0) said.ready_since = observation.at - Millis(below(100'000));
          if (below(2) == 0) said.idle_since = observation.at - Millis(below(100'000));
        }
      }
      state.after_gap = below(20) == 0;
      ScalingRules rules{.min = below(3), .max = 3 + below(10)};
      if (below(3) == 0) {
        rules.instance_dollars_per_hour = 0.1;
        rules.dollars_per_hour_max = below(8) / 10.0;
      }
      PolicyState copy = state;
      const Outcome outcome = outcome_of(policy.decide, observation, state, rules);
      const Outcome again = outcome_of(policy.decide, observation, copy, rules);
      EXPECT_EQ(outcome.decision.wanted, again.decision.wanted) << "the same input decides the same";
      EXPECT_EQ(outcome.decision.why, again.decision.why);
      EXPECT_FALSE(outcome.decision.why.empty());
      EXPECT_GE(outcome.decision.wanted, 0);
      EXPECT_LE(outcome.decision.wanted, std::max(rules.max, 12)) << outcome.decision.why;
      const int all = static_cast<int>(observation.instances.size());
      EXPECT_TRUE(outcome.actions.launch == 0 || all + outcome.actions.launch <= instance_limit(rules));
    }
  }
}

TEST(FindPolicy, NamesThoseThereAre) {
  EXPECT_EQ(find_policy("depth")->decide, &decide_depth);
  const auto none = find_policy("dpeth");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().kind, ErrorKind::invalid);
  EXPECT_THAT(none.error().message, HasSubstr("depth, per-batch, warm, drain-pool, alarm, backlog, slo."));
}

}  // namespace
}  // namespace imgrec::presets_policy_test
