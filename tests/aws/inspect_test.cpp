#include <gmock/gmock.h>

#include "aws/inspect/account.hpp"
#include "aws/inspect/conditional_puts.hpp"
#include "aws/inspect/ec2.hpp"
#include "aws/inspect/encryption.hpp"
#include "tests/aws/imposter.hpp"

namespace imgrec::aws::inspect_test {
namespace {

using test::Reply;
using testing::HasSubstr;

Reply error(const std::string& code, int status = 400) {
  return {.status = status,
          .body = "<Response><Errors><Error><Code>" + code +
                  "</Code><Message>No.</Message></Error></Errors><RequestID>R1</RequestID></Response>"};
}

class InspectTest : public testing::Test {
 protected:
  CallLimits limits() { return Deadline::in(world.clock, Seconds(20)); }
  std::map<std::string, std::string> form() { return world.imposter.last().form(); }
  void answer(const std::string& body) { world.imposter.then(Reply{.body = body}); }

  test::ImposterWorld world;
  Session& session = world.session;
};

TEST_F(InspectTest, KnowsWhoIsAsking) {
  answer(
      "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::1:user/me</Arn>"
      "</GetCallerIdentityResult></GetCallerIdentityResponse>");
  const auto identity = caller_identity(session, limits());
  ASSERT_TRUE(identity) << identity.error().message;
  EXPECT_EQ(identity->arn, "arn:aws:iam::1:user/me");
  EXPECT_EQ(form().at("Action"), "GetCallerIdentity");
  answer("<GetCallerIdentityResponse/>");
  EXPECT_EQ(caller_identity(session, limits()).error().code, "bad_response");
}

TEST_F(InspectTest, ReachesAServiceWhateverItAnswers) {
  world.imposter.then(Reply{.status = 403});
  const auto reached = reach_service(session, "sqs", Seconds(5));
  ASSERT_TRUE(reached);
  EXPECT_EQ(reached->url, world.imposter.url() + "/");
}

TEST_F(InspectTest, AsksWhetherItMayLaunch) {
  Ec2FleetOptions options;
  options.image_id = "ami-1";
  options.instance_types = {"c7i.large"};
  world.imposter.then(error("DryRunOperation", 412));
  EXPECT_TRUE(check_ec2_launch(session, options));
  EXPECT_EQ(form().at("DryRun"), "true");
  world.imposter.then(error("UnauthorizedOperation", 403));
  EXPECT_EQ(check_ec2_launch(session, options).error().kind, ErrorKind::denied);
  options.image_id.clear();
  EXPECT_EQ(check_ec2_launch(session, options).error().code, "bad_fleet") << "without a call";
}

TEST_F(InspectTest, DescribesAnImage) {
  answer(
      "<DescribeImagesResponse><imagesSet><item><imageState>available</imageState><architecture>arm64"
      "</architecture><name>debian-12</name></item></imagesSet></DescribeImagesResponse>");
  const auto image = describe_image(session, "ami-1", limits());
  ASSERT_TRUE(image);
  EXPECT_EQ(image->state, "available");
  EXPECT_EQ(image->architecture, "arm64");
  EXPECT_EQ(image->name, "debian-12");
  EXPECT_EQ(form().at("ImageId.1"), "ami-1");
  answer("<DescribeImagesResponse><imagesSet/></DescribeImagesResponse>");
  EXPECT_EQ(describe_image(session, "ami-1", limits()).error().code, "no_such_image");
}

TEST_F(InspectTest, CountsWhatIsThere) {
  const auto count = [&](Ec2Thing thing, const std::vector<std::string>& names, const std::string& set) {
    answer("<Answer><" + set + "><item/><item/></" + set + "></Answer>");
    return count_existing(session, thing, names, limits());
  };
  EXPECT_EQ(count(Ec2Thing::subnet, {"subnet-1", "subnet-2"}, "subnetSet"), 2U);
  EXPECT_EQ(form().at("SubnetId.2"), "subnet-2");
  EXPECT_EQ(count(Ec2Thing::security_group, {"sg-1"}, "securityGroupInfo"), 2U);
  EXPECT_EQ(count(Ec2Thing::key_pair, {"me"}, "keySet"), 2U);
  EXPECT_EQ(count(Ec2Thing::launch_template, {"lt-1"}, "launchTemplates"), 2U);
  EXPECT_EQ(form().at("LaunchTemplateId.1"), "lt-1");
  EXPECT_EQ(count(Ec2Thing::launch_template, {"workers"}, "launchTemplates"), 2U);
  EXPECT_EQ(form().at("LaunchTemplateName.1"), "workers");
  EXPECT_EQ(count(Ec2Thing::subnet, {"subnet-1"}, "other"), 0U);
  world.imposter.then(error("InvalidSubnetID.NotFound"));
  EXPECT_EQ(count_existing(session, Ec2Thing::subnet, {"subnet-1"}, limits()).error().kind, ErrorKind::invalid);
}

TEST_F(InspectTest, FindsTheLargestType) {
  answer(
      "<Answer><instanceTypeSet><item><vCpuInfo><defaultVCpus>2</defaultVCpus></vCpuInfo></item><item><vCpuInfo>"
      "<defaultVCpus>8</defaultVCpus></vCpuInfo></item></instanceTypeSet></Answer>");
  EXPECT_EQ(most_vcpus(session, {"c7i.large", "c7i.2xlarge"}, limits()), 8);
  answer("<Answer/>");
  EXPECT_EQ(most_vcpus(session, {"c7i.large"}, limits()).error().code, "bad_response");
}

TEST_F(InspectTest, NamesTheRoleOfAProfile) {
  const std::string begin = "<R><GetInstanceProfileResult><InstanceProfile>";
  const std::string end = "</InstanceProfile></GetInstanceProfileResult></R>";
  answer(begin + "<Roles><member><RoleName>worker</RoleName></member></Roles>" + end);
  EXPECT_EQ(role_of_profile(session, "p", limits()), "worker");
  answer(begin + "<Roles/>" + end);
  EXPECT_EQ(role_of_profile(session, "p", limits()).error().code, "no_role");
}

TEST_F(InspectTest, FindsOutWhetherConditionsOfAPutAreObeyed) {
  const auto probe = [&](std::initializer_list<Reply> replies) {
    for (const Reply& reply : replies) world.imposter.then(reply);
    return probe_conditional_puts(session, {"photos", ObjectKey("results/x"), "bytes"}, limits());
  };
  const auto s3_error = [](int status, const std::string& code) {
    return Reply{.status = status, .body = "<Error><Code>" + code + "</Code><Message>No.</Message></Error>"};
  };
  using Kind = ConditionalPuts::Kind;
  const Reply obeyed = s3_error(412, "PreconditionFailed");
  EXPECT_EQ(probe({obeyed, obeyed})->kind, Kind::obeyed);
  EXPECT_EQ(world.imposter.seen()[0].headers.at("if-none-match"), "*");
  EXPECT_TRUE(world.imposter.last().headers.contains("if-match"));
  EXPECT_EQ(world.imposter.last().target, "/photos/results/x");
  EXPECT_EQ(world.imposter.last().body, "bytes");
  EXPECT_EQ(probe({Reply{}})->kind, Kind::ignored);
  const auto half = probe({obeyed, Reply{}});
  EXPECT_EQ(half->kind, Kind::ignored);
  EXPECT_EQ(half->header, "If-Match");
  EXPECT_EQ(probe({s3_error(501, "NotImplemented")})->kind, Kind::refused);
  EXPECT_EQ(probe({s3_error(403, "AccessDenied")}).error().kind, ErrorKind::denied);
}

TEST_F(InspectTest, TellsHowAnObjectIsEncrypted) {
  world.imposter.then(Reply{.headers = {{"x-amz-server-side-encryption", "aws:kms"},
                                        {"x-amz-server-side-encryption-aws-kms-key-id", "arn:k"}}});
  const auto found = encryption_of(session, "photos", ObjectKey("results/x"), limits());
  ASSERT_TRUE(found);
  EXPECT_EQ(found->algorithm + " " + found->kms_key, "aws:kms arn:k");
  EXPECT_EQ(world.imposter.last().method, "HEAD");
  world.imposter.then(Reply{});
  EXPECT_EQ(encryption_of(session, "photos", ObjectKey("results/x"), limits())->algorithm, "");
}

TEST_F(InspectTest, ReadsTheQuota) {
  answer(R"({"Quota":{"Value":32.0}})");
  EXPECT_EQ(vcpu_quota(session, true, limits()), 32.0);
  EXPECT_EQ(world.imposter.last().headers.at("content-type"), "application/x-amz-json-1.1");
  EXPECT_EQ(world.imposter.last().json()["QuotaCode"], "L-34B43A08");
  answer(R"({"Quota":{}})");
  EXPECT_THAT(vcpu_quota(session, false, limits()).error().message, HasSubstr("no value"));
}

}  // namespace
}  // namespace imgrec::aws::inspect_test
