#include "roles/controller/reconcile.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <set>

#include "tests/support/fake_clock.hpp"

namespace imgrec::reconcile_test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

using enum InstanceState;

Observation seen(const std::vector<InstanceState>& states) {
  Observation observation;
  for (const InstanceState state : states) {
    const std::string number = std::to_string(observation.instances.size() + 1);
    observation.instances.push_back({.id = InstanceId("i-" + number), .state = state, .app_tier_id = ""});
  }
  return observation;
}

Decision want(int wanted) {
  return {.wanted = wanted, .why = "a test"};
}

const ScalingRules kUpTo8{.min = 0, .max = 8};
const InstanceId k1("i-1"), k2("i-2"), k3("i-3"), k4("i-4");

TEST(Reconcile, LaunchesWhatIsMissingAndSaysTheTotal) {
  const auto actions = reconcile(seen({running, pending}), want(5), kUpTo8);
  EXPECT_EQ(actions.launch, 3);
  EXPECT_EQ(actions.total, 5);
  EXPECT_EQ(actions.note, "");
}

TEST(Reconcile, DoesNothingWhenAllIsAsWanted) {
  const auto actions = reconcile(seen({running, pending, stopping}), want(2), kUpTo8);
  EXPECT_TRUE(actions.empty());
  EXPECT_EQ(actions.total, 2);
}

TEST(Reconcile, KeepsBetweenTheLimitsWhateverAPolicyWants) {
  EXPECT_EQ(reconcile(seen({}), want(1'000'000), kUpTo8).launch, 8);
  EXPECT_EQ(reconcile(seen({}), want(-5), {.min = 2, .max = 8}).launch, 2);
  EXPECT_THAT(reconcile(seen({running, running, running}), want(-5), {.min = 2, .max = 8}).terminate, ElementsAre(k3));
}

TEST(WithinLimits, SaysWhereThePolicyWantedAnotherNumber) {
  const auto limited = [](int wanted, const ScalingRules& rules) {
    const Decision decision = within_limits({.wanted = wanted, .why = "because"}, rules);
    return std::to_string(decision.wanted) + " " + decision.why;
  };
  EXPECT_EQ(limited(3, {.min = 2, .max = 8}), "3 because");
  EXPECT_EQ(limited(0, {.min = 2, .max = 8}), "2 because; 2 are always there");
  EXPECT_EQ(limited(9, {.min = 2, .max = 8}), "8 because; no more than 8 may be there");
  EXPECT_EQ(limited(0, {.min = 2, .max = 1}), "1 because; 1 are always there");
}

TEST(Reconcile, AnInstanceThatIsStoppingTakesItsPlace) {
  const auto actions = reconcile(seen({stopping, stopping, running}), want(4), {.min = 0, .max = 4});
  EXPECT_EQ(actions.launch, 1);
  EXPECT_EQ(actions.total, 2);
  EXPECT_EQ(actions.note, "waiting for instances that are stopping");
}

TEST(Reconcile, MoreThanTheMaximumGo) {
  const auto actions = reconcile(seen({running, running, running}), want(9), {.min = 0, .max = 2});
  EXPECT_THAT(actions.terminate, ElementsAre(k3));
  EXPECT_EQ(actions.total, 2);
  EXPECT_EQ(actions.note, "more than the maximum are there");
}

Observation seen(const std::vector<InstanceState>& states, const Drains& drains) {
  Observation observation = seen(states);
  observation.drains = drains;
  return observation;
}

TEST(Reconcile, AsksToStopWhereThatIsPossible) {
  const auto first = reconcile(seen({running, running, running, pending}, {.possible = true}), want(1), kUpTo8);
  EXPECT_THAT(first.terminate, ElementsAre(k4)) << "one that boots holds nothing";
  EXPECT_EQ(first.ask, 2);
  const std::vector three = {running, running, running, stopping};
  EXPECT_TRUE(reconcile(seen(three, {.possible = true, .requested = 2}), want(1), kUpTo8).empty()) << "both are asked";
  const auto confirmed = reconcile(seen(three, {.possible = true, .requested = 1, .confirmed = {k2}}), want(1), kUpTo8);
  EXPECT_THAT(confirmed.terminate, ElementsAre(k2));
  EXPECT_EQ(confirmed.ask, 0);
}

TEST(Reconcile, ADecisionMayWantThemTerminated) {
  Decision one = want(1);
  one.ending = Ending::terminate;
  const auto actions = reconcile(seen({running, running}, {.possible = true}), one, kUpTo8);
  EXPECT_THAT(actions.terminate, ElementsAre(k2));
  EXPECT_EQ(actions.ask, 0);
}

TEST(Reconcile, TakesRequestsToStopBackBeforeItLaunches) {
  const Observation three = seen({running, running, running}, {.possible = true, .requested = 1, .confirmed = {k3}});
  const auto one_more = reconcile(three, want(2), kUpTo8);
  EXPECT_EQ(one_more.take_back, 1);
  EXPECT_THAT(one_more.terminate, ElementsAre(k3)) << "it has confirmed: nothing calls it back";
  EXPECT_EQ(one_more.launch, 0);
  const auto many_more = reconcile(three, want(5), kUpTo8);
  EXPECT_EQ(many_more.take_back, 1);
  EXPECT_EQ(many_more.launch, 3);
  EXPECT_EQ(many_more.total, 5);
}

TEST(Reconcile, TakesNoMoreBackInARoundThanTheDecisionAllows) {
  const Observation observation = seen(std::vector(15, running), {.possible = true, .requested = 14});
  Decision decision = want(13);
  decision.take_back_max = 10;
  const auto actions = reconcile(observation, decision, {.min = 0, .max = 20});
  EXPECT_EQ(actions.take_back, 10);
  EXPECT_EQ(actions.launch, 0) << "the rest is taken back in the next round";
  EXPECT_EQ(actions.total, 11);
  EXPECT_NE(actions.note, "");
}

// A worker may end without having taken its request, which then stops the next one: the request has to go.
TEST(Reconcile, RequestsMayOutliveTheirWorkers) {
  const auto actions = reconcile(seen({}, {.possible = true, .requested = 2}), want(3), kUpTo8);
  EXPECT_EQ(actions.take_back, 2);
  EXPECT_EQ(actions.launch, 3);
}

TEST(Reconcile, TheIdlestGoFirstWhereThatIsKnown) {
  const MonoTime at{Seconds(1000)};
  Observation observation = seen({running, running, running, running, pending});
  observation.signals.instances = {{.busy_share = 0.2}, {.idle_since = at}, {.idle_since = at - Seconds(5)}, {}, {}};
  const auto order = reconcile(observation, want(0), kUpTo8).terminate;
  EXPECT_THAT(order, ElementsAre(InstanceId("i-5"), k3, k2, k1, k4));
}

TEST(Reconcile, KeepsWithinTheDollarsOfAnHour) {
  ScalingRules rules{.min = 0, .max = 8};
  rules.instance_dollars_per_hour = 0.4;
  rules.dollars_per_hour_max = 1.2;
  EXPECT_EQ(instance_limit(rules), 3);
  EXPECT_EQ(reconcile(seen({running}), want(8), rules).launch, 2);
  rules.min = 5;
  EXPECT_EQ(reconcile(seen({running}), want(8), rules).launch, 2) << "the limit wins over the minimum";
  rules.dollars_per_hour_max = 0.1;
  EXPECT_EQ(instance_limit(rules), 0);
  rules.instance_dollars_per_hour = 0;
  EXPECT_EQ(instance_limit(rules), 8) << "what costs nothing is not limited";
}

// Random fleets and decisions.
class ReconcileProperties : public testing::Test {
 protected:
  int below(int limit) { return static_cast<int>(rng_.next() % static_cast<std::uint64_t>(limit)); }

  void draw() {
    rules_.max = 1 + below(10);
    rules_.min = below(rules_.max + 1);
    wanted_ = below(20) - 3;
    std::vector<InstanceState> states;
    for (int i = below(14); i > 0; --i) states.push_back(static_cast<InstanceState>(below(3)));
    observation_ = seen(states);
    observation_.drains = {.possible = below(2) == 0, .requested = 0, .confirmed = {InstanceId("i-unknown")}};
    for (const Instance& instance : observation_.instances) {
      observation_.signals.instances.push_back({});
      if (below(2) == 0) observation_.signals.instances.back().idle_since = MonoTime(Seconds(below(5)));
      if (!observation_.drains.possible || instance.state != running || below(3) != 0) continue;
      if (below(2) == 0) {
        observation_.drains.confirmed.push_back(instance.id);
      } else {
        ++observation_.drains.requested;
      }
    }
  }

  // The fleet as it is once the actions are done.
  void apply(const Actions& actions) {
    for (Instance& instance : observation_.instances) {
      if (std::ranges::find(actions.terminate, instance.id) != actions.terminate.end()) instance.state = stopping;
    }
    observation_.drains.requested += actions.ask - actions.take_back;
    for (int i = 0; i < actions.launch; ++i) {
      observation_.instances.push_back(
          {.id = InstanceId("i-new-" + std::to_string(i)), .state = pending, .app_tier_id = ""});
    }
  }

  test::SeededRng rng_{11};
  ScalingRules rules_;
  int wanted_ = 0;
  Observation observation_;
};

TEST_F(ReconcileProperties, HoldForAnyFleet) {
  for (int round = 0; round < 20'000 && !HasFailure(); ++round) {
    draw();
    SCOPED_TRACE(round);
    const Actions actions = reconcile(observation_, want(wanted_), rules_);
    const int all = static_cast<int>(observation_.instances.size());
    ASSERT_GE(actions.launch, 0);
    ASSERT_TRUE(actions.launch == 0 || all + actions.launch <= rules_.max) << "never above the maximum";
    ASSERT_TRUE(actions.launch == 0 || actions.ask == 0) << "never grows and shrinks at once";
    ASSERT_TRUE(actions.take_back == 0 || actions.ask == 0);
    ASSERT_LE(actions.take_back, observation_.drains.requested);
    std::set<InstanceId> named;
    for (const InstanceId& id : actions.terminate) {
      EXPECT_TRUE(named.insert(id).second) << id << " is named twice";
      const auto instance = std::ranges::find(observation_.instances, id, &Instance::id);
      ASSERT_NE(instance, observation_.instances.end()) << "an unknown id";
      EXPECT_NE(instance->state, stopping);
    }
    if (!observation_.drains.possible) {
      EXPECT_EQ(actions.ask + actions.take_back, 0);
    }

    apply(actions);
    const int active = count_projected(observation_);
    EXPECT_EQ(active, actions.total) << "the total is what there will be";
    EXPECT_LE(active, rules_.max);
    const int wanted = std::clamp(wanted_, rules_.min, rules_.max);
    EXPECT_TRUE(active == wanted || !actions.note.empty()) << "what is wanted is reached, or the note says why not";
    const Actions again = reconcile(observation_, want(wanted_), rules_);
    EXPECT_TRUE(again.empty()) << "idempotent";
  }
}

}  // namespace
}  // namespace imgrec::reconcile_test
