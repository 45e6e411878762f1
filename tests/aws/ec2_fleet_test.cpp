#include "aws/adapters/ec2_fleet.hpp"

#include <gmock/gmock.h>

#include <algorithm>

#include "aws/adapters/ec2_launch.hpp"
#include "lib/base/base64.hpp"
#include "tests/aws/imposter.hpp"

namespace imgrec::aws::ec2_fleet_test {
namespace {

using test::Fault;
using test::Reply;
using test::Seen;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using testing::UnorderedElementsAre;

Reply error(const std::string& code, int status = 400, const std::string& message = "No.") {
  return {.status = status,
          .body = "<Response><Errors><Error><Code>" + code + "</Code><Message>" + message +
                  "</Message></Error></Errors><RequestID>R1</RequestID></Response>"};
}

struct Machine {
  std::string id;
  std::string state = "running";
  std::string tiers = "1";
  int index = 0;
  std::string launch = "other";
  std::string reason{};
};

std::string instances_set(const std::vector<Machine>& machines) {
  std::string out = "<instancesSet>";
  for (const Machine& one : machines) {
    out += "<item><instanceId>" + one.id + "</instanceId><instanceState><name>" + one.state +
           "</name></instanceState>" +
           (one.reason.empty() ? "" : "<stateReason><message>" + one.reason + "</message></stateReason>") +
           "<amiLaunchIndex>" + std::to_string(one.index) +
           "</amiLaunchIndex><instanceType>c7i.large</instanceType><launchTime>2026-01-01T00:00:00.000Z</"
           "launchTime><tagSet>" +
           "<item><key>imgrec:app-tiers</key><value>" + one.tiers + "</value></item>" +
           "<item><key>imgrec:launch</key><value>" + one.launch + "</value></item></tagSet></item>";
  }
  return out + "</instancesSet>";
}

Reply described(const std::vector<Machine>& machines, const std::string& next = "") {
  return {.body =
              "<DescribeInstancesResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><reservationSet><item>" +
              instances_set(machines) + "</item></reservationSet>" +
              (next.empty() ? "" : "<nextToken>" + next + "</nextToken>") + "</DescribeInstancesResponse>"};
}

// As many as asked for: i-new0, i-new1, …
Reply launched(const Seen& request) {
  std::vector<Machine> machines;
  const int count = std::stoi(request.form().at("MaxCount"));
  for (int i = 0; i < count; ++i)
    machines.push_back({.id = "i-new" + std::to_string(i), .state = "pending", .index = i});
  return {.body = "<RunInstancesResponse>" + instances_set(machines) + "</RunInstancesResponse>"};
}

Reply terminating(const std::vector<Machine>& machines) {
  std::string out = "<TerminateInstancesResponse><instancesSet>";
  for (const Machine& one : machines) {
    out += "<item><instanceId>" + one.id + "</instanceId><currentState><name>" + one.state +
           "</name></currentState></item>";
  }
  return {.body = out + "</instancesSet></TerminateInstancesResponse>"};
}

class Ec2FleetTest : public testing::Test {
 protected:
  Ec2FleetTest() {
    options.name = "photos";
    options.image_id = "ami-1";
    options.instance_types = {"c7i.large"};
    options.instances_max = 5;
  }
  Fleet& fleet() {
    if (!fleet_) fleet_ = make_ec2_fleet(world.session, options).value();
    return *fleet_;
  }
  Result<std::vector<Instance>> launch(int count, const std::string& token = "token") {
    return fleet().launch({.count = count, .token = LaunchToken(token)});
  }
  std::vector<std::string> ids() {
    std::vector<std::string> out;
    const auto instances = fleet().describe();
    if (!instances) ADD_FAILURE() << describe(instances.error());
    for (const Instance& one : instances.value()) out.push_back(one.id.str());
    return out;
  }
  std::map<std::string, std::string> run_form(std::size_t number = 0) {
    for (const Seen& one : imposter.seen()) {
      if (one.operation() == "RunInstances" && number-- == 0) return one.form();
    }
    ADD_FAILURE() << "no such RunInstances";
    return {};
  }

  std::size_t run_forms() {
    return static_cast<std::size_t>(std::ranges::count(imposter.seen(), "RunInstances", &Seen::operation));
  }

  test::ImposterWorld world;
  test::Imposter& imposter = world.imposter;
  Ec2FleetOptions options;
  std::unique_ptr<Fleet> fleet_;
};

TEST_F(Ec2FleetTest, LaunchesInOneCall) {
  options.subnets = {"subnet-1"};
  options.security_groups = {"sg-1", "sg-2"};
  options.instance_profile = "imgrec-worker";
  options.user_data = "#!/bin/sh\necho hello\n";
  options.tags = {{"team", "vision"}};
  options.spot = true;
  imposter.then(described({{.id = "i-1", .tiers = "2"}}));
  imposter.then(launched);
  const auto instances = launch(3);
  ASSERT_TRUE(instances) << describe(instances.error());
  ASSERT_EQ(instances->size(), 3U);
  EXPECT_EQ((*instances)[1].app_tier_id, "app-tier-3");
  EXPECT_EQ((*instances)[1].type, "c7i.large");
  const auto form = run_form();
  for (const auto& [name, value] :
       std::map<std::string, std::string>{{"Version", "2016-11-15"},
                                          {"MinCount", "1"},
                                          {"MaxCount", "3"},
                                          {"ImageId", "ami-1"},
                                          {"InstanceType", "c7i.large"},
                                          {"SubnetId", "subnet-1"},
                                          {"SecurityGroupId.2", "sg-2"},
                                          {"IamInstanceProfile.Name", "imgrec-worker"},
                                          {"UserData", base64_encode(options.user_data + "# imgrec:app-tiers=1,3-4\n")},
                                          {"InstanceInitiatedShutdownBehavior", "terminate"},
                                          {"MetadataOptions.HttpTokens", "required"},
                                          {"InstanceMarketOptions.MarketType", "spot"},
                                          {"TagSpecification.1.ResourceType", "instance"}}) {
    EXPECT_THAT(form, testing::Contains(Pair(name, value)));
  }
  EXPECT_FALSE(form.contains("MetadataOptions.InstanceMetadataTags")) << "EC2 may refuse it for others' tags";
  EXPECT_EQ(form.at("ClientToken").size(), 64U);
  std::map<std::string, std::string> tags;
  for (int i = 1; form.contains("TagSpecification.1.Tag." + std::to_string(i) + ".Key"); ++i) {
    const std::string tag = "TagSpecification.1.Tag." + std::to_string(i);
    tags[form.at(tag + ".Key")] = form.at(tag + ".Value");
  }
  EXPECT_THAT(tags,
              UnorderedElementsAre(Pair("Name", "photos app-tier 1,3-4"), Pair("imgrec:app-tiers", "1,3-4"),
                                   Pair("imgrec:fleet", "photos"), Pair("imgrec:launch", "token"),
                                   Pair("imgrec:launched-at", "2026-01-01T00:00:00.000Z"), Pair("team", "vision")));
}

// The process that launched is gone, and EC2 does not show yet what it launched: another process makes the very same
// call, in the pool that was tried last, so that EC2 knows its token.
TEST_F(Ec2FleetTest, AnotherProcessRepeatsALaunchExactly) {
  options.instance_types = {"c7i.large", "c7a.large"};
  options.user_data = "#!/bin/sh\n";
  imposter.then(described({{.id = "i-1", .tiers = "2"}}));
  imposter.then(error("InsufficientInstanceCapacity", 500));
  imposter.always(
      [](const Seen& request) { return request.operation() == "RunInstances" ? launched(request) : described({}); });
  std::vector<std::string> plans;
  LaunchRequest request{.count = 2, .token = LaunchToken("7-token")};
  request.note = [&](const std::string& plan) -> Result<void> {
    plans.push_back(plan);
    if (plans.size() == 2) return fail(ErrorKind::transient, "lost", "It is not sure whether this was noted.");
    return {};
  };
  EXPECT_FALSE(fleet().launch(request)) << "what was not noted is not launched";
  EXPECT_EQ(plans.size(), 2U) << "each pool is a call of its own";
  ASSERT_TRUE(fleet().launch(request));
  const auto first = run_form(run_forms() - 1);
  EXPECT_EQ(first.at("InstanceType"), "c7a.large");

  const auto other = make_ec2_fleet(world.session, options).value();
  world.clock.advance(Seconds(30));
  request.plan = plans.back();
  const auto again = other->launch(request);
  ASSERT_TRUE(again) << describe(again.error());
  EXPECT_EQ(again->size(), 2U);
  EXPECT_EQ(run_form(run_forms() - 1), first);
  EXPECT_EQ(plans.back(), request.plan);
}

TEST_F(Ec2FleetTest, APlanOfOtherSettingsIsALaunchLikeAnyOther) {
  imposter.always(
      [](const Seen& request) { return request.operation() == "RunInstances" ? launched(request) : described({}); });
  for (const char* plan : {"", "x", "1-2\n2026-01-01T00:00:00.000Z\n1\n0\nm5.large\n\n", "1\nsoon\n1\n0\nc7i.large\n\n",
                           "\n2026-01-01T00:00:00.000Z\n1\n0\nc7i.large\n\n"}) {
    const auto other = make_ec2_fleet(world.session, options).value();
    const auto launched = other->launch({.count = 3, .token = LaunchToken("token"), .plan = plan});
    ASSERT_TRUE(launched) << plan;
    EXPECT_EQ(launched->size(), 3U) << plan;
  }
}

TEST_F(Ec2FleetTest, AnInstanceThatEndsAtOnceIsSaidWithEc2sReason) {
  imposter.then(described({}));
  imposter.then(launched);
  ASSERT_TRUE(launch(1));
  imposter.then(described({{.id = "i-new0", .state = "pending"}}));
  EXPECT_THAT(ids(), ElementsAre("i-new0"));
  const Machine dead{.id = "i-new0", .state = "terminated", .reason = "Client.InvalidKMSKey: The key is disabled"};
  imposter.then(described({dead}));
  imposter.then(described({dead}));
  testing::internal::CaptureStderr();
  EXPECT_THAT(ids(), IsEmpty());
  EXPECT_THAT(ids(), IsEmpty());
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_THAT(log, AllOf(HasSubstr("i-new0"), HasSubstr("Client.InvalidKMSKey: The key is disabled")));
  EXPECT_EQ(log.find("InvalidKMSKey"), log.rfind("InvalidKMSKey")) << "said once";
}

TEST_F(Ec2FleetTest, ALaunchTemplateNeedsNothingElse) {
  options.image_id.clear();
  options.instance_types.clear();
  options.launch_template = "lt-0123";
  imposter.then(described({}));
  imposter.then(launched);
  ASSERT_TRUE(launch(1));
  EXPECT_EQ(run_form().at("LaunchTemplate.LaunchTemplateId"), "lt-0123");
  EXPECT_EQ(run_form().at("LaunchTemplate.Version"), "$Default");
  EXPECT_FALSE(run_form().contains("ImageId"));
  EXPECT_EQ(run_form().at("MetadataOptions.InstanceMetadataTags"), "enabled")
      << "its user-data cannot have the app tiers";
}

TEST_F(Ec2FleetTest, ATemplateWhoseTagsCannotBeInMetadataIsLaunchedWithoutThem) {
  options.launch_template = "lt-0123";
  const auto refusal =
      error("InvalidParameterValue", 400, "'cost centre' is not a valid tag key. Tag keys must match pattern (…)");
  imposter.then(described({}));
  imposter.then(refusal);
  imposter.then(launched);
  testing::internal::CaptureStderr();
  const auto instances = launch(2);
  const std::string log = testing::internal::GetCapturedStderr();
  ASSERT_TRUE(instances) << describe(instances.error());
  EXPECT_EQ((*instances)[1].app_tier_id, "app-tier-2") << "the controller knows it from the tag";
  EXPECT_FALSE(run_form(1).contains("MetadataOptions.InstanceMetadataTags"));
  EXPECT_NE(run_form(0).at("ClientToken"), run_form(1).at("ClientToken")) << "another request";
  EXPECT_THAT(log, AllOf(HasSubstr("lt-0123"), HasSubstr("cost centre")));
  imposter.then(described({}));
  imposter.then(launched);
  ASSERT_TRUE(launch(1, "next"));
  EXPECT_FALSE(run_form(2).contains("MetadataOptions.InstanceMetadataTags")) << "it is not tried again";
}

TEST_F(Ec2FleetTest, ALostAnswerIsAskedForWithTheSameToken) {
  imposter.then(described({}));
  imposter.then(Reply{.fault = Fault::cut});
  imposter.then(error("InternalError", 500));
  imposter.then(launched);
  ASSERT_TRUE(launch(2));
  EXPECT_EQ(run_form(0), run_form(1));
  EXPECT_EQ(run_form(0), run_form(2));
}

TEST_F(Ec2FleetTest, ALaunchThatFailedIsAskedForAgainAsItWas) {
  imposter.then(described({}));
  imposter.always([](const Seen&) { return Reply{.fault = Fault::cut}; });
  EXPECT_EQ(launch(2).error().kind, ErrorKind::transient);
  const auto first = run_form();
  const std::size_t asked = imposter.seen().size();
  // Meanwhile another process's instance has taken the number 1; the request stays what it was.
  imposter.then(described({{.id = "i-9", .tiers = "1"}}));
  imposter.then(launched);
  ASSERT_TRUE(launch(2));
  EXPECT_EQ(imposter.seen().size(), asked + 2);
  EXPECT_EQ(imposter.last().form(), first);
  // Answered now: the same token launches nothing more.
  imposter.then(described({}));
  EXPECT_EQ(launch(2)->size(), 2U);
  EXPECT_EQ(imposter.last().operation(), "DescribeInstances");
}

TEST_F(Ec2FleetTest, FindsWhatAnEarlierProcessLaunched) {
  imposter.then(described({{.id = "i-1", .launch = "token"}, {.id = "i-2", .launch = "else"}}));
  const auto instances = launch(1);
  ASSERT_TRUE(instances);
  ASSERT_EQ(instances->size(), 1U);
  EXPECT_EQ(instances->front().id.str(), "i-1");
}

TEST_F(Ec2FleetTest, FindsItAlsoWhenEc2ShowsItLater) {
  imposter.then(described({}));
  imposter.then(error("IdempotentParameterMismatch"));
  imposter.then(described({}));
  imposter.then(described({{.id = "i-1", .launch = "token"}}));
  const auto instances = launch(1);
  ASSERT_TRUE(instances) << describe(instances.error());
  EXPECT_EQ(instances->front().id.str(), "i-1");
}

TEST_F(Ec2FleetTest, TriesTheNextPoolWhereThereIsNoCapacity) {
  options.instance_types = {"c7i.large", "c6i.large"};
  options.zones = {"us-east-1a", "us-east-1b"};
  imposter.then(described({}));
  imposter.then(error("InsufficientInstanceCapacity", 500));
  imposter.then(error("Unsupported"));
  imposter.then(launched);
  ASSERT_TRUE(launch(1));
  EXPECT_EQ(run_form(0).at("Placement.AvailabilityZone"), "us-east-1a");
  EXPECT_EQ(run_form(1).at("Placement.AvailabilityZone"), "us-east-1b");
  EXPECT_EQ(run_form(2).at("InstanceType"), "c6i.large");
  EXPECT_NE(run_form(0).at("ClientToken"), run_form(1).at("ClientToken"));
  EXPECT_THAT(world.clock.sleeps(), IsEmpty()) << "another pool is no retry";
  // Pools without capacity are left alone for a while.
  imposter.then(described({{.id = "i-new0"}}));
  imposter.then(launched);
  ASSERT_TRUE(launch(1, "second"));
  EXPECT_EQ(run_form(3).at("InstanceType"), "c6i.large");
  world.clock.advance(options.pool_pause_min);
  imposter.then(described({{.id = "i-new0"}}));
  imposter.then(launched);
  ASSERT_TRUE(launch(1, "third"));
  EXPECT_EQ(run_form(4).at("InstanceType"), "c7i.large");
}

TEST_F(Ec2FleetTest, SaysWhenNoPoolHasCapacity) {
  imposter.then(described({}));
  imposter.then(error("InsufficientInstanceCapacity", 500));
  const auto none = launch(1);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().kind, ErrorKind::throttled);
  EXPECT_EQ(none.error().code, "no_capacity");
  imposter.then(described({}));
  EXPECT_EQ(launch(1).error().code, "no_capacity") << "without a call, while the pool is left alone";
  world.clock.advance(options.pool_pause_min);
  imposter.then(described({}));
  imposter.then(launched);
  EXPECT_TRUE(launch(1)) << "the same token again";
  EXPECT_NE(run_form(0).at("ClientToken"), run_form(1).at("ClientToken")) << "EC2 may remember a refusal";
}

TEST_F(Ec2FleetTest, OtherRefusalsEndTheLaunch) {
  options.zones = {"us-east-1a", "us-east-1b"};
  imposter.then(described({}));
  imposter.then(error("UnauthorizedOperation", 403, "You are not authorized to perform: ec2:RunInstances"));
  const auto refused = launch(1);
  EXPECT_EQ(refused.error().kind, ErrorKind::denied);
  EXPECT_THAT(refused.error().message, AllOf(HasSubstr("EC2 RunInstances failed"), HasSubstr("(request id R1)")));
  imposter.then(described({}));
  imposter.then(error("InvalidAMIID.NotFound"));
  EXPECT_EQ(launch(1, "t2").error().code, "no_such_image");
}

TEST_F(Ec2FleetTest, ThrottlingIsWaitedOut) {
  imposter.then(error("RequestLimitExceeded", 503));
  imposter.then(described({}));
  EXPECT_THAT(ids(), IsEmpty());
  EXPECT_EQ(world.clock.sleeps().size(), 1U);
}

TEST_F(Ec2FleetTest, WhatEc2DoesNotShowYetIsPending) {
  imposter.then(described({}));
  imposter.then(launched);
  ASSERT_TRUE(launch(4));
  imposter.then(described({{.id = "i-new0"}}));
  const auto instances = fleet().describe();
  ASSERT_TRUE(instances);
  ASSERT_EQ(instances->size(), 4U) << "nobody may launch these again";
  EXPECT_EQ((*instances)[0].state, InstanceState::running);
  EXPECT_EQ((*instances)[3].state, InstanceState::pending);
  imposter.then(described({}));
  imposter.then(launched);
  EXPECT_EQ(launch(4, "more")->size(), 2U) << "three that are not shown yet count";
  imposter.then(described({{.id = "i-new1", .state = "terminated"}}));
  EXPECT_EQ(ids().size(), 3U) << "one that ended at once is gone";
  world.clock.advance(options.appear_max);
  imposter.then(described({}));
  EXPECT_THAT(ids(), IsEmpty());
}

TEST_F(Ec2FleetTest, DescribesPageByPage) {
  imposter.then(described({{.id = "i-1", .tiers = "1"}}, "page 2"));
  imposter.then(described({{.id = "i-2", .state = "shutting-down", .tiers = "2-3", .index = 1}}));
  const auto instances = fleet().describe();
  ASSERT_TRUE(instances);
  ASSERT_EQ(instances->size(), 2U);
  EXPECT_EQ((*instances)[1].app_tier_id, "app-tier-3");
  EXPECT_EQ((*instances)[1].state, InstanceState::stopping);
  EXPECT_EQ(imposter.last().form().at("NextToken"), "page 2");
  EXPECT_EQ(imposter.last().form().at("Filter.1.Name"), "tag:imgrec:fleet");
  EXPECT_EQ(imposter.last().form().at("Filter.1.Value.1"), "photos");
}

TEST_F(Ec2FleetTest, WhatCannotBeReadIsNotAnEmptyFleet) {
  imposter.then(Reply{.body = "<html>a proxy</html>"});
  EXPECT_EQ(fleet().describe().error().code, "bad_response");
  imposter.then(Reply{.body = "<DescribeInstancesResp"});
  EXPECT_EQ(fleet().describe().error().code, "bad_response");
}

TEST_F(Ec2FleetTest, TerminatesUntilItIsTrue) {
  imposter.then(terminating({{.id = "i-1", .state = "shutting-down"}, {.id = "i-2", .state = "running"}}));
  imposter.then(error("RequestLimitExceeded", 503));
  imposter.then(terminating({{.id = "i-2", .state = "terminated"}}));
  const std::vector<InstanceId> both = {InstanceId("i-1"), InstanceId("i-2")};
  EXPECT_TRUE(fleet().terminate(both));
  EXPECT_FALSE(imposter.last().form().contains("InstanceId.2")) << "only what is left";
  imposter.then(described({{.id = "i-1", .state = "running"}}));
  EXPECT_EQ(fleet().describe()->front().state, InstanceState::stopping) << "EC2 shows it as running for a while";
}

TEST_F(Ec2FleetTest, WhatIsGoneIsTerminated) {
  imposter.then(error("InvalidInstanceID.NotFound", 400, "The instance IDs 'i-2, i-3' do not exist"));
  imposter.then(terminating({{.id = "i-1", .state = "shutting-down"}}));
  const std::vector<InstanceId> all = {InstanceId("i-1"), InstanceId("i-2"), InstanceId("i-3")};
  EXPECT_TRUE(fleet().terminate(all));
}

TEST_F(Ec2FleetTest, WhatWasJustLaunchedIsNotGone) {
  imposter.then(described({}));
  imposter.then(launched);
  ASSERT_TRUE(launch(1));
  const InstanceId id("i-new0");
  imposter.then(error("InvalidInstanceID.NotFound", 400, "The instance ID 'i-new0' does not exist"));
  imposter.then(error("InvalidInstanceID.NotFound", 400, "The instance ID 'i-new0' does not exist"));
  imposter.then(terminating({{.id = "i-new0", .state = "shutting-down"}}));
  EXPECT_TRUE(fleet().terminate({&id, 1}));
  imposter.always([](const Seen&) { return terminating({{.id = "i-7", .state = "running"}}); });
  const InstanceId stubborn("i-7");
  EXPECT_EQ(fleet().terminate({&stubborn, 1}).error().code, "not_terminated");
}

TEST_F(Ec2FleetTest, RefusesOptionsThatCannotWork) {
  const auto code = [&](const std::function<void(Ec2FleetOptions&)>& change) {
    Ec2FleetOptions changed = options;
    change(changed);
    const auto made = make_ec2_fleet(world.session, changed);
    return made ? std::string("none") : made.error().code;
  };
  EXPECT_EQ(code([](auto&) {}), "none");
  EXPECT_EQ(code([](auto& o) { o.image_id.clear(); }), "bad_fleet");
  EXPECT_EQ(code([](auto& o) { o.instance_types.clear(); }), "bad_fleet");
  EXPECT_EQ(code([](auto& o) { o.instances_max = 0; }), "bad_fleet");
  EXPECT_EQ(code([](auto& o) { o.user_data = std::string(16 * 1024 + 1, 'x'); }), "bad_fleet");
  EXPECT_EQ(code([](auto& o) { o.tags["imgrec:fleet"] = "another"; }), "bad_fleet");
  EXPECT_EQ(code([](auto& o) { o.subnets = o.zones = {"x"}; }), "bad_fleet");
}

TEST(AppTiers, AreWrittenAsRanges) {
  EXPECT_EQ(to_app_tiers({1}), "1");
  EXPECT_EQ(to_app_tiers({1, 3, 4, 5, 9, 10}), "1,3-5,9-10");
  EXPECT_EQ(app_tier_id_of("1,3-5,9-10", 0), "app-tier-1");
  EXPECT_EQ(app_tier_id_of("1,3-5,9-10", 3), "app-tier-5");
  EXPECT_EQ(app_tier_id_of("1,3-5,9-10", 5), "app-tier-10");
  for (const char* bad : {"", "x", "1-", "-1", "0"}) EXPECT_EQ(app_tier_id_of(bad, 1), "") << bad;
  EXPECT_EQ(app_tier_id_of("1,3-5", 4), "");
  EXPECT_EQ(app_tier_id_of("1", -1), "");
}

}  // namespace
}  // namespace imgrec::aws::ec2_fleet_test
