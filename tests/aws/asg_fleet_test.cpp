#include "aws/adapters/asg_fleet.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <map>

#include "tests/aws/imposter.hpp"

namespace imgrec::aws::asg_fleet_test {
namespace {

using test::Reply;
using test::Seen;
using testing::ElementsAre;
using testing::IsEmpty;

Reply error(const std::string& code, const std::string& message) {
  return {.status = 400,
          .body = "<ErrorResponse><Error><Type>Sender</Type><Code>" + code + "</Code><Message>" + message +
                  "</Message></Error><RequestId>R1</RequestId></ErrorResponse>"};
}

// An Auto Scaling group that launches only when the test says so.
class Group {
 public:
  Reply answer(const Seen& request) {
    const auto form = request.form();
    const std::string operation = request.operation();
    if (operation == "DescribeAutoScalingGroups") return described();
    if (operation == "DescribeInstances") return instances();
    if (operation == "SetDesiredCapacity") {
      desired = std::stoi(form.at("DesiredCapacity"));
      return {.body = "<SetDesiredCapacityResponse/>"};
    }
    EXPECT_EQ(operation, "TerminateInstanceInAutoScalingGroup");
    const auto found = states.find(form.at("InstanceId"));
    if (found == states.end()) return error("ValidationError", "Instance Id not found - No managed instance found");
    if (form.at("ShouldDecrementDesiredCapacity") == "true") --desired;
    found->second = state_after_end;
    return {.body = "<TerminateInstanceInAutoScalingGroupResponse/>"};
  }
  void appear() {
    const auto active = [&] {
      return std::ranges::count_if(states, [](const auto& one) { return !one.second.starts_with("Terminating"); });
    };
    while (active() < desired) states["i-" + std::to_string(++launched)] = "InService";
  }

  int min = 0, max = 10, desired = 0, launched = 0;
  std::map<std::string, std::string> states;
  std::string state_after_end = "Terminating";

 private:
  Reply described() const {
    std::string members;
    for (const auto& [id, state] : states) {
      members += "<member><InstanceId>" + id + "</InstanceId><InstanceType>c7a.large</InstanceType><LifecycleState>" +
                 state + "</LifecycleState></member>";
    }
    return {.body =
                "<DescribeAutoScalingGroupsResponse><DescribeAutoScalingGroupsResult><AutoScalingGroups><member>"
                "<AutoScalingGroupName>workers</AutoScalingGroupName><MinSize>" +
                std::to_string(min) + "</MinSize><MaxSize>" + std::to_string(max) + "</MaxSize><DesiredCapacity>" +
                std::to_string(desired) +
                "</DesiredCapacity><NewInstancesProtectedFromScaleIn>true</NewInstancesProtectedFromScaleIn>"
                "<Instances>" +
                members +
                "</Instances></member></AutoScalingGroups></DescribeAutoScalingGroupsResult>"
                "</DescribeAutoScalingGroupsResponse>"};
  }
  Reply instances() const {
    std::string items;
    for (const auto& [id, state] : states) {
      items += "<item><instanceId>" + id +
               "</instanceId><instanceState><name>running</name></instanceState>"
               "<launchTime>2026-01-01T00:00:0" +
               id.substr(2, 1) + ".000Z</launchTime></item>";
    }
    return {.body = "<DescribeInstancesResponse><reservationSet><item><instancesSet>" + items +
                    "</instancesSet></item></reservationSet></DescribeInstancesResponse>"};
  }
};

class AsgFleetTest : public testing::Test {
 protected:
  AsgFleetTest() {
    world.imposter.always([this](const Seen& request) { return group.answer(request); });
  }
  std::unique_ptr<Fleet> another() {
    return make_asg_fleet(world.session, {.group = "workers", .instances_max = 5}).value();
  }
  Result<std::vector<Instance>> launch(int count, const std::string& token = "token") {
    return fleet->launch({.count = count, .token = LaunchToken(token)});
  }
  std::vector<std::string> ids() {
    std::vector<std::string> out;
    const auto instances = fleet->describe();
    if (!instances) ADD_FAILURE() << describe(instances.error());
    for (const Instance& one : instances.value_or(std::vector<Instance>())) {
      out.push_back(one.id.str() + (one.state == InstanceState::pending    ? " pending"
                                    : one.state == InstanceState::stopping ? " stopping"
                                                                           : ""));
    }
    return out;
  }
  Result<void> terminate(std::vector<std::string> names) {
    std::vector<InstanceId> wanted;
    for (std::string& name : names) wanted.emplace_back(std::move(name));
    return fleet->terminate(wanted);
  }

  test::ImposterWorld world;
  Group group;
  std::unique_ptr<Fleet> fleet = another();
};

TEST_F(AsgFleetTest, WhatTheGroupHasNotLaunchedYetIsPending) {
  const auto launched = launch(3);
  ASSERT_TRUE(launched);
  EXPECT_THAT(*launched, IsEmpty()) << "it did not appear in time";
  EXPECT_EQ(group.desired, 3);
  EXPECT_THAT(ids(),
              ElementsAre("workers/pending-1 pending", "workers/pending-2 pending", "workers/pending-3 pending"));
  const auto other = another();
  EXPECT_EQ(other->describe()->size(), 3U) << "another process sees it too";
  group.appear();
  EXPECT_THAT(ids(), ElementsAre("i-1", "i-2", "i-3"));
  EXPECT_EQ(other->describe()->front().type, "c7a.large");
}

TEST_F(AsgFleetTest, WhatIsPendingCanBeCalledOff) {
  ASSERT_TRUE(launch(4));
  ASSERT_TRUE(terminate({"workers/pending-4", "workers/pending-3"}));
  EXPECT_EQ(group.desired, 2);
  group.appear();
  EXPECT_THAT(ids(), ElementsAre("i-1", "i-2"));
}

TEST_F(AsgFleetTest, ALaunchIsANumberHoweverOftenItIsSaid) {
  ASSERT_TRUE(launch(2));
  ASSERT_TRUE(launch(2));
  EXPECT_EQ(group.desired, 2);
  group.appear();
  EXPECT_EQ(launch(2)->size(), 2U) << "now it can name them";
  const auto more = another()->launch({.count = 1, .token = LaunchToken("other")});
  ASSERT_TRUE(more);
  EXPECT_EQ(group.desired, 3);
}

TEST_F(AsgFleetTest, AnEndLowersTheNumberUnlessMoreAreThere) {
  group.desired = 4;
  group.appear();
  ASSERT_TRUE(terminate({"i-2"}));
  EXPECT_EQ(group.desired, 3);
  EXPECT_THAT(ids(), ElementsAre("i-1", "i-2 stopping", "i-3", "i-4"));
  group.desired = 2;  // somebody lowered it, and the group ends no protected instance
  ASSERT_TRUE(terminate({"i-3"}));
  EXPECT_EQ(group.desired, 2) << "three were there for two";
  ASSERT_TRUE(terminate({"i-4"}));
  EXPECT_EQ(group.desired, 1);
}

TEST_F(AsgFleetTest, ARepeatedEndLowersTheNumberOnce) {
  group.state_after_end = "InService";  // as it is still shown, for a while
  group.desired = 3;
  group.appear();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(terminate({"i-2"}));
  EXPECT_EQ(group.desired, 2);
  EXPECT_THAT(ids(), ElementsAre("i-1", "i-2 stopping", "i-3"));
}

TEST_F(AsgFleetTest, WhatIsGoneHasEnded) {
  group.desired = 1;
  group.appear();
  EXPECT_TRUE(terminate({"i-9", "workers/pending-1"}));
  EXPECT_EQ(group.desired, 1);
}

TEST_F(AsgFleetTest, TheGroupsOwnMaximumHolds) {
  group.max = 2;
  ASSERT_TRUE(launch(3));
  EXPECT_EQ(group.desired, 2);
  const auto more = launch(1, "other");
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code, "fleet_full");
  EXPECT_THAT(more.error().message, testing::HasSubstr("own maximum is 2"));
}

TEST_F(AsgFleetTest, AGroupThatIsNotThereIsSaid) {
  const auto missing = make_asg_fleet(world.session, {.group = "others", .instances_max = 5}).value()->describe();
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, "no_such_group");
  EXPECT_EQ(make_asg_fleet(world.session, {.group = "", .instances_max = 5}).error().code, "bad_fleet");
}

}  // namespace
}  // namespace imgrec::aws::asg_fleet_test
