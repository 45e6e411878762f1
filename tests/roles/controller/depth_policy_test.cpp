#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/roles/controller/policy_table.hpp"
#include "tests/support/fake_clock.hpp"

namespace imgrec::depth_policy_test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

using test::fleet;
using test::kStart;
using test::messages;

Observation seen(QueueDepth depth, std::vector<Instance> instances = {}, MonoTime at = kStart) {
  return test::seen(depth, std::move(instances), std::chrono::duration_cast<Millis>(at - kStart));
}

// What the policy wants, and what then is done about it.
struct Outcome {
  int wanted = 0, launch = 0;
  std::vector<InstanceId> terminate;
  std::string why;
};

Outcome decide(const Observation& observation, PolicyState& state, const ScalingRules& rules) {
  const Decision decision = decide_depth(observation, state, rules);
  const Actions actions = reconcile(observation, decision, rules);
  return {.wanted = decision.wanted, .launch = actions.launch, .terminate = actions.terminate, .why = decision.why};
}

struct Case {
  const char* name;
  QueueDepth depth;
  int running, pending, stopping;
  ScalingRules rules;
  int wanted, launch;
  std::size_t terminate;
};

class DepthPolicyTable : public testing::TestWithParam<Case> {};

TEST_P(DepthPolicyTable, Decides) {
  const Case& c = GetParam();
  PolicyState state;
  const Outcome decision = decide(seen(c.depth, fleet(c.running, c.pending, c.stopping)), state, c.rules);
  EXPECT_EQ(decision.wanted, c.wanted);
  EXPECT_EQ(decision.launch, c.launch);
  EXPECT_EQ(decision.terminate.size(), c.terminate);
  EXPECT_FALSE(decision.why.empty());
}

ScalingRules rules(int min, int max) {
  return {.min = min, .max = max, .idle_cooldown = Millis(10'000)};
}

INSTANTIATE_TEST_SUITE_P(
    Cases, DepthPolicyTable,
    testing::Values(
        //   name                    depth                 run pend stop  rules      wanted launch terminate
        Case{"FromZero", messages(12), 0, 0, 0, rules(0, 20), 12, 12, 0},
        Case{"NotMoreThanMax", messages(12), 0, 0, 0, rules(0, 4), 4, 4, 0},
        Case{"InFlightCounts", messages(0, 3), 0, 0, 0, rules(0, 4), 3, 3, 0},
        Case{"DelayedCounts", messages(0, 0, 2), 0, 0, 0, rules(0, 4), 2, 2, 0},
        Case{"AllThreeAreAdded", messages(1, 1, 1), 0, 0, 0, rules(0, 4), 3, 3, 0},
        Case{"PendingIsCapacity", messages(4), 1, 3, 0, rules(0, 8), 4, 0, 0},
        Case{"OnlyTheMissing", messages(6), 2, 1, 0, rules(0, 8), 6, 3, 0},
        Case{"NoneGoWhileAnyMessageIsLeft", messages(0, 1), 5, 0, 0, rules(0, 8), 5, 0, 0},
        Case{"MinIsKeptWhenEmpty", messages(0), 0, 0, 0, rules(2, 8), 2, 2, 0},
        Case{"MinAlsoWithFewMessages", messages(1), 0, 0, 0, rules(3, 8), 3, 3, 0},
        Case{"StoppingIsNoCapacity", messages(2), 0, 0, 2, rules(0, 8), 2, 2, 0},
        Case{"StoppingTakesItsPlace", messages(8), 1, 0, 2, rules(0, 4), 4, 1, 0},
        Case{"MoreThanMaxGo", messages(9), 6, 0, 0, rules(0, 4), 4, 0, 2},
        Case{"EmptyAndNothingThere", messages(0), 0, 0, 0, rules(0, 8), 0, 0, 0},
        Case{"EmptyJustNow", messages(0), 3, 0, 0, rules(0, 8), 3, 0, 0},
        Case{"ADepthBeyondInt", messages(~0ULL), 0, 0, 0, rules(0, 8), 8, 8, 0}),
    [](const auto& one) { return one.param.name; });

TEST(DepthPolicy, InstancesGoOnceTheQueueStayedEmptyForTheCooldown) {
  PolicyState state;
  const auto decide_at = [&](Millis after, QueueDepth depth) {
    return decide(seen(depth, fleet(3), kStart + after), state, rules(1, 8));
  };
  EXPECT_THAT(decide_at(Millis(0), messages(0)).terminate, IsEmpty());
  EXPECT_THAT(decide_at(Millis(9'999), messages(0)).terminate, IsEmpty());
  EXPECT_THAT(decide_at(Millis(10'000), messages(0)).terminate.size(), 2);
  EXPECT_THAT(decide_at(Millis(10'001), messages(1)).terminate, IsEmpty()) << "a message came";
  EXPECT_THAT(decide_at(Millis(10'002), messages(0)).terminate, IsEmpty()) << "the cooldown begins anew";
  EXPECT_THAT(decide_at(Millis(20'002), messages(0)).terminate.size(), 2);
}

TEST(DepthPolicy, TimeThatNobodySawIsNoPartOfTheCooldown) {
  PolicyState state;
  const ScalingRules limits = rules(0, 8);
  EXPECT_EQ(decide(seen(messages(0), fleet(3)), state, limits).wanted, 3);
  state.after_gap = true;
  EXPECT_EQ(decide(seen(messages(0), fleet(3), kStart + Seconds(10)), state, limits).wanted, 3);
  state.after_gap = false;
  EXPECT_EQ(decide(seen(messages(0), fleet(3), kStart + Seconds(20)), state, limits).wanted, 0);
}

TEST(DepthPolicy, TheNewestGoFirstAndNoneTwice) {
  PolicyState state;
  (void)decide(seen(messages(0), fleet(2, 1, 1), kStart - Seconds(60)), state, rules(1, 8));
  // Oldest first: i-1 is stopping already, i-2 and i-3 run, i-4 boots.
  const auto decision = decide(seen(messages(0), fleet(2, 1, 1)), state, rules(1, 8));
  EXPECT_THAT(decision.terminate, ElementsAre(InstanceId("i-4"), InstanceId("i-3")));
}

TEST(DepthPolicy, KeepsItsLimitsWhateverIsObserved) {
  test::SeededRng rng(7);
  const auto below = [&](std::uint64_t limit) { return static_cast<int>(rng.next() % limit); };
  PolicyState state;
  MonoTime at = kStart;
  for (int round = 0; round < 50'000; ++round) {
    const int max = 1 + below(12);
    const ScalingRules limits = {
        .min = below(static_cast<std::uint64_t>(max) + 1), .max = max, .idle_cooldown = Millis(below(3000))};
    at += Millis(below(2000));
    const QueueDepth depth = below(3) == 0
                                 ? messages(0)
                                 : messages(static_cast<std::uint64_t>(below(20)), static_cast<std::uint64_t>(below(5)),
                                            static_cast<std::uint64_t>(below(3)));
    const auto observation = seen(depth, fleet(below(8), below(4), below(4)), at);
    const int all = static_cast<int>(observation.instances.size());
    const int active =
        all - static_cast<int>(std::ranges::count(observation.instances, InstanceState::stopping, &Instance::state));
    const int gone = [&] {
      PolicyState copy = state;
      return static_cast<int>(decide(observation, copy, limits).terminate.size());
    }();
    const Outcome decision = decide(observation, state, limits);
    SCOPED_TRACE(decision.why);

    EXPECT_EQ(gone, static_cast<int>(decision.terminate.size())) << "the same input decides the same";
    EXPECT_GE(decision.launch, 0);
    EXPECT_TRUE(decision.launch == 0 || decision.terminate.empty()) << "never both";
    EXPECT_GE(decision.wanted, limits.min);
    EXPECT_LE(decision.wanted, limits.max);
    if (decision.launch > 0) {
      EXPECT_LE(all + decision.launch, limits.max);
    }
    EXPECT_GE(active - gone, std::min(active, limits.min)) << "never below the minimum";
    if (all == active) {
      EXPECT_EQ(active + decision.launch - gone, decision.wanted) << "what is wanted is reached";
    }
    const bool any = depth.visible + depth.in_flight + depth.delayed > 0;
    if (any) {
      EXPECT_EQ(gone, std::max(0, active - limits.max)) << "none goes while a message is left, but what max forbids";
    }
    if (any && all == 0) {
      EXPECT_GE(decision.launch, 1) << "from zero";
    }
    for (const InstanceId& id : decision.terminate) {
      const auto found = std::ranges::find(observation.instances, id, &Instance::id);
      ASSERT_NE(found, observation.instances.end());
      EXPECT_NE(found->state, InstanceState::stopping);
    }
    ASSERT_FALSE(testing::Test::HasFailure());
  }
}

}  // namespace
}  // namespace imgrec::depth_policy_test
