#include "roles/controller/reconcile.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <set>

#include "tests/support/fake_clock.hpp"

namespace imgrec {
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

TEST(Reconcile, DrainsBeforeItTerminatesWhereThatIsPossible) {
  const Observation four = seen({running, running, running, pending});
  const auto first = reconcile(four, want(1), kUpTo8, {.possible = true, .in_progress = {}, .finished = {}});
  EXPECT_THAT(first.terminate, ElementsAre(k4)) << "one that boots holds nothing";
  EXPECT_THAT(first.drain, ElementsAre(k3, k2));
  const Observation three = seen({running, running, running, stopping});
  const auto waiting = reconcile(three, want(1), kUpTo8, {.possible = true, .in_progress = {k3, k2}, .finished = {}});
  EXPECT_TRUE(waiting.empty());
  const auto drained = reconcile(three, want(1), kUpTo8, {.possible = true, .in_progress = {k3, k2}, .finished = {k3}});
  EXPECT_THAT(drained.terminate, ElementsAre(k3));
}

TEST(Reconcile, CancelsDrainsBeforeItLaunches) {
  const Observation three = seen({running, running, running});
  const Drains drains{.possible = true, .in_progress = {k3, k2}, .finished = {k3}};
  const auto one_more = reconcile(three, want(2), kUpTo8, drains);
  EXPECT_THAT(one_more.cancel_drains, ElementsAre(k2)) << "the oldest stays";
  EXPECT_THAT(one_more.terminate, ElementsAre(k3));
  EXPECT_EQ(one_more.launch, 0);
  const auto many_more = reconcile(three, want(5), kUpTo8, drains);
  EXPECT_THAT(many_more.cancel_drains, ElementsAre(k2, k3));
  EXPECT_THAT(many_more.terminate, IsEmpty());
  EXPECT_EQ(many_more.launch, 2);
  EXPECT_EQ(many_more.total, 5);
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
    drains_ = {.possible = below(2) == 0, .in_progress = {InstanceId("i-unknown")}, .finished = {}};
    for (const Instance& instance : observation_.instances) {
      if (!drains_.possible || instance.state != running || below(3) != 0) continue;
      drains_.in_progress.push_back(instance.id);
      if (below(2) == 0) drains_.finished.push_back(instance.id);
    }
  }

  // The fleet as it is once the actions are done.
  void apply(const Actions& actions) {
    const auto is_in = [](const std::vector<InstanceId>& ids, const InstanceId& id) {
      return std::ranges::find(ids, id) != ids.end();
    };
    for (Instance& instance : observation_.instances) {
      if (is_in(actions.terminate, instance.id)) instance.state = stopping;
      if (is_in(actions.drain, instance.id)) drains_.in_progress.push_back(instance.id);
    }
    std::erase_if(drains_.in_progress, [&](const InstanceId& id) { return is_in(actions.cancel_drains, id); });
    for (int i = 0; i < actions.launch; ++i) {
      observation_.instances.push_back(
          {.id = InstanceId("i-new-" + std::to_string(i)), .state = pending, .app_tier_id = ""});
    }
  }

  test::SeededRng rng_{11};
  ScalingRules rules_;
  int wanted_ = 0;
  Observation observation_;
  Drains drains_;
};

TEST_F(ReconcileProperties, HoldForAnyFleet) {
  for (int round = 0; round < 20'000 && !HasFailure(); ++round) {
    draw();
    SCOPED_TRACE(round);
    const Actions actions = reconcile(observation_, want(wanted_), rules_, drains_);
    const int all = static_cast<int>(observation_.instances.size());
    ASSERT_GE(actions.launch, 0);
    ASSERT_TRUE(actions.launch == 0 || all + actions.launch <= rules_.max) << "never above the maximum";
    ASSERT_TRUE(actions.launch == 0 || actions.drain.empty()) << "never grows and shrinks at once";
    std::set<InstanceId> named;
    for (const auto* ids : {&actions.cancel_drains, &actions.drain, &actions.terminate}) {
      for (const InstanceId& id : *ids) {
        EXPECT_TRUE(named.insert(id).second) << id << " is named twice";
        const auto instance = std::ranges::find(observation_.instances, id, &Instance::id);
        ASSERT_NE(instance, observation_.instances.end()) << "an unknown id";
        EXPECT_NE(instance->state, stopping);
      }
    }
    if (!drains_.possible) {
      EXPECT_THAT(actions.drain, IsEmpty());
      EXPECT_THAT(actions.cancel_drains, IsEmpty());
    }

    apply(actions);
    int active = 0;
    for (const Instance& instance : observation_.instances) {
      active += instance.state != stopping &&
                std::ranges::find(drains_.in_progress, instance.id) == drains_.in_progress.end();
    }
    EXPECT_EQ(active, actions.total) << "the total is what there will be";
    EXPECT_LE(active, rules_.max);
    const int wanted = std::clamp(wanted_, rules_.min, rules_.max);
    EXPECT_TRUE(active == wanted || !actions.note.empty()) << "what is wanted is reached, or the note says why not";
    const Actions again = reconcile(observation_, want(wanted_), rules_, drains_);
    EXPECT_TRUE(again.empty()) << "idempotent";
  }
}

}  // namespace
}  // namespace imgrec
