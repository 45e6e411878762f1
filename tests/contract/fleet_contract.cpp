#include "tests/contract/fleet_contract.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <set>

namespace imgrec::test {

using testing::ElementsAre;
using testing::IsEmpty;

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(FleetContract);

namespace {

std::vector<std::string> tiers(const std::vector<Instance>& instances) {
  std::vector<std::string> names;
  for (const Instance& instance : instances) names.push_back(instance.app_tier_id);
  return names;
}

std::vector<InstanceId> ids(const std::vector<Instance>& instances) {
  std::vector<InstanceId> result;
  for (const Instance& instance : instances) result.push_back(instance.id);
  return result;
}

}  // namespace

std::vector<Instance> FleetContract::describe_all() {
  auto instances = fleet().describe();
  if (!instances) ADD_FAILURE() << describe(instances.error());
  return instances.value_or(std::vector<Instance>());
}

std::vector<Instance> FleetContract::launch(int count, const std::string& token) {
  auto instances = fleet().launch({.count = count, .token = LaunchToken(token)});
  if (!instances) ADD_FAILURE() << describe(instances.error());
  return instances.value_or(std::vector<Instance>());
}

bool FleetContract::eventually(const std::function<bool(const std::vector<Instance>&)>& holds) {
  for (int tries = 0; tries < 3000; ++tries) {
    if (holds(describe_all())) return true;
    world_->pause();
  }
  return false;
}

bool FleetContract::all_running(std::size_t count) {
  return eventually([&](const std::vector<Instance>& instances) {
    return instances.size() == count && std::ranges::all_of(instances, [](const Instance& instance) {
             return instance.state == InstanceState::running;
           });
  });
}

TEST_P(FleetContract, IsEmptyAtFirst) {
  EXPECT_THAT(describe_all(), IsEmpty());
}

TEST_P(FleetContract, LaunchedInstancesRun) {
  const auto started = launch(2, "t");
  ASSERT_EQ(started.size(), 2U);
  if (GetParam().gives_numbers) {
    EXPECT_THAT(tiers(started), ElementsAre("app-tier-1", "app-tier-2"));
  }
  EXPECT_NE(started[0].app_tier_id, started[1].app_tier_id);
  EXPECT_NE(started[0].id, started[1].id);
  for (const Instance& instance : started) EXPECT_NE(instance.state, InstanceState::stopping);
  ASSERT_TRUE(all_running(2));
  const auto running = describe_all();
  EXPECT_EQ(ids(running), ids(started)) << "oldest first";
  EXPECT_EQ(running[0].launched_at, started[0].launched_at);
  EXPECT_GT(running[0].launched_at, WallTime(Seconds(1'700'000'000)));
}

TEST_P(FleetContract, ATokenLaunchesOnce) {
  const auto first = launch(2, "same");
  const auto again = launch(2, "same");
  EXPECT_EQ(ids(again), ids(first));
  EXPECT_EQ(describe_all().size(), 2U);
  EXPECT_EQ(launch(1, "other").size(), 1U);
  EXPECT_EQ(describe_all().size(), 3U);
  EXPECT_EQ(ids(launch(2, "same")), ids(first)) << "also when the fleet is full";
}

TEST_P(FleetContract, NeverHoldsMoreThanItsLimit) {
  EXPECT_EQ(launch(kFleetMax + 2, "a").size(), static_cast<std::size_t>(kFleetMax));
  const auto more = fleet().launch({.count = 1, .token = LaunchToken("b")});
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().kind, ErrorKind::throttled);
  EXPECT_EQ(more.error().code, "fleet_full");
  EXPECT_EQ(describe_all().size(), static_cast<std::size_t>(kFleetMax));
}

TEST_P(FleetContract, ALaunchThatFoundNoRoomMayBeTriedAgain) {
  const auto first = launch(kFleetMax, "a");
  ASSERT_TRUE(all_running(kFleetMax));
  EXPECT_FALSE(fleet().launch({.count = 1, .token = LaunchToken("b")}));
  ASSERT_TRUE(fleet().terminate(ids(first)));
  ASSERT_TRUE(eventually([](const auto& instances) { return instances.empty(); }));
  EXPECT_EQ(launch(1, "b").size(), 1U);
}

TEST_P(FleetContract, TerminatedInstancesEnd) {
  const auto started = launch(2, "t");
  ASSERT_TRUE(all_running(2));
  const InstanceId gone = started[0].id;
  ASSERT_TRUE(fleet().terminate({&gone, 1}));
  for (const Instance& instance : describe_all()) {
    EXPECT_EQ(instance.state, instance.id == gone ? InstanceState::stopping : InstanceState::running);
  }
  ASSERT_TRUE(eventually([](const auto& instances) { return instances.size() == 1; }));
  EXPECT_EQ(describe_all().front().id, started[1].id);
  EXPECT_TRUE(fleet().terminate({&gone, 1})) << "what is gone is terminated";
  EXPECT_TRUE(fleet().terminate({}));
}

TEST_P(FleetContract, TheLowestFreeNumberIsTaken) {
  if (!GetParam().gives_numbers) GTEST_SKIP() << "it gives none";
  const auto started = launch(3, "t");
  ASSERT_TRUE(all_running(3));
  const InstanceId middle = started[1].id;
  ASSERT_TRUE(fleet().terminate({&middle, 1}));
  ASSERT_TRUE(eventually([](const auto& instances) { return instances.size() == 2; }));
  EXPECT_THAT(tiers(launch(1, "u")), ElementsAre("app-tier-2"));
  EXPECT_THAT(tiers(describe_all()), ElementsAre("app-tier-1", "app-tier-3", "app-tier-2")) << "oldest first";
}

TEST_P(FleetContract, ACrashedInstanceIsGone) {
  if (GetParam().replaces_crashed) GTEST_SKIP() << "it is replaced";
  const auto started = launch(2, "t");
  ASSERT_TRUE(all_running(2));
  world_->crash(started[0].id);
  ASSERT_TRUE(eventually([](const auto& instances) { return instances.size() == 1; }));
  EXPECT_EQ(describe_all().front().id, started[1].id);
}

TEST_P(FleetContract, RefusesALaunchOfNothing) {
  EXPECT_EQ(fleet().launch({.count = 0, .token = LaunchToken("t")}).error().kind, ErrorKind::invalid);
  EXPECT_EQ(fleet().launch({.count = 1, .token = LaunchToken()}).error().kind, ErrorKind::invalid);
  EXPECT_THAT(describe_all(), IsEmpty());
}

TEST_P(FleetContract, CallsKeepTheirLimits) {
  const auto started = launch(1, "a");
  ASSERT_EQ(started.size(), 1U);
  const CallLimits over(Deadline{MonoTime::min()});
  std::stop_source stopped;
  stopped.request_stop();
  for (const auto& [limits, kind] :
       {std::pair(over, ErrorKind::transient), std::pair(CallLimits(stopped.get_token()), ErrorKind::cancelled)}) {
    EXPECT_EQ(fleet().describe(limits).error().kind, kind);
    EXPECT_EQ(fleet().launch({.count = 1, .token = LaunchToken("b")}, limits).error().kind, kind);
    EXPECT_EQ(fleet().terminate({&started[0].id, 1}, limits).error().kind, kind);
  }
  EXPECT_EQ(describe_all().size(), 1U);
}

}  // namespace imgrec::test
