#include <gtest/gtest.h>

#include "aws/deploy/rights.hpp"
#include "tests/aws/imposter.hpp"

namespace imgrec::simulated_rights_test {
namespace {

using aws::MissingRight;
using aws::RightsQuestion;
using aws::test::Reply;

constexpr const char* kUser = "arn:aws:iam::123456789012:user/deployer";
const aws::AccountPlace kPlace = {.partition = "aws-cn", .account = "123456789012", .region = "cn-north-1"};

const RightsQuestion* question_with(const std::vector<RightsQuestion>& questions, std::string_view action) {
  for (const RightsQuestion& one : questions) {
    for (const std::string& each : one.actions) {
      if (each == action) return &one;
    }
  }
  return nullptr;
}

class SimulatedRights : public testing::Test {
 protected:
  SimulatedRights() { config_.aws.s3_kms_key = "1234abcd"; }
  CallLimits limits() { return Deadline::in(world_.clock, Seconds(20)); }
  std::vector<RightsQuestion> questions(std::string_view policy) {
    auto made = aws::questions_of(
        policy, config_,
        {.input_bucket = "in", .output_bucket = "out", .bundle_bucket = "packs", .worker_user_data = {}}, kPlace);
    EXPECT_TRUE(made) << made.error().message;
    return made ? *made : std::vector<RightsQuestion>();
  }
  void answer(const std::string& results, const std::string& more = "") {
    world_.imposter.then(Reply{.body = "<R><SimulatePrincipalPolicyResult><EvaluationResults>" + results +
                                       "</EvaluationResults>" + more + "</SimulatePrincipalPolicyResult></R>"});
  }

  Config config_;
  aws::test::ImposterWorld world_;
};

TEST(RightsPlaces, AreReadFromArns) {
  const auto place = aws::place_of("arn:aws-cn:sts::123456789012:assumed-role/a/b", "cn-north-1");
  ASSERT_TRUE(place);
  EXPECT_EQ(place->partition, "aws-cn");
  EXPECT_EQ(place->account, "123456789012");
  for (const char* text : {"", "deployer", "arn:aws:iam::123456789012", "arn:aws:iam:::user/x"}) {
    EXPECT_FALSE(aws::place_of(text, "")) << text;
  }
}

TEST_F(SimulatedRights, QuestionsAreOfTheDeployersFile) {
  const auto all = questions(aws::kDeployerPolicy);
  const RightsQuestion* upload = question_with(all, "s3:CreateBucket");
  ASSERT_NE(upload, nullptr);
  EXPECT_EQ(upload->resources,
            (std::vector<std::string>{"arn:aws-cn:s3:::in", "arn:aws-cn:s3:::out", "arn:aws-cn:s3:::packs"}));
  const RightsQuestion* change = question_with(all, "cloudformation:ExecuteChangeSet");
  ASSERT_NE(change, nullptr);
  EXPECT_EQ(change->resources.front(), "arn:aws-cn:cloudformation:cn-north-1:123456789012:stack/imgrec/*");
  const RightsQuestion* end = question_with(all, "ec2:DeregisterImage");
  ASSERT_NE(end, nullptr);
  EXPECT_EQ(end->contexts.front(), (std::pair<std::string, std::string>("aws:ResourceTag/imgrec:image-of", "imgrec")));
  const RightsQuestion* key = question_with(all, "kms:Decrypt");
  ASSERT_NE(key, nullptr);
  EXPECT_EQ(key->contexts.front().second, "sqs.cn-north-1.amazonaws.com") << "a value that fulfils a pattern";
  const RightsQuestion* see = question_with(all, "ec2:DescribeImages");
  ASSERT_NE(see, nullptr);
  EXPECT_TRUE(see->resources.empty());
  EXPECT_NE(question_with(all, "autoscaling:UpdateAutoScalingGroup"), nullptr);
  config_.aws.s3_kms_key.clear();
  EXPECT_EQ(question_with(questions(aws::kDeployerPolicy), "kms:Decrypt"), nullptr);
}

TEST_F(SimulatedRights, OfTheStacksFileOnlyWhatThisStackNeeds) {
  EXPECT_NE(question_with(questions(aws::kStackPolicy), "autoscaling:CreateAutoScalingGroup"), nullptr);
  EXPECT_NE(question_with(questions(aws::kStackPolicy), "ec2:RunInstances"), nullptr);
  config_.deploy.web = false;
  auto all = questions(aws::kStackPolicy);
  EXPECT_NE(question_with(all, "iam:CreateRole"), nullptr);
  EXPECT_EQ(question_with(all, "ec2:RunInstances"), nullptr);
  EXPECT_EQ(question_with(all, "autoscaling:CreateAutoScalingGroup"), nullptr);
  EXPECT_EQ(question_with(all, "ec2:Describe*"), nullptr) << "the simulator takes no wildcards";
  config_.aws.fleet_kind = "asg";
  config_.aws.auto_scaling_group = "workers";
  all = questions(aws::kStackPolicy);
  EXPECT_NE(question_with(all, "autoscaling:CreateAutoScalingGroup"), nullptr);
  EXPECT_NE(question_with(all, "ec2:RunInstances"), nullptr);
}

TEST_F(SimulatedRights, WhatIsAskedAndWhatIsDenied) {
  answer(
      "<member><EvalActionName>s3:PutObject</EvalActionName><EvalResourceName>arn:aws:s3:::a</EvalResourceName>"
      "<EvalDecision>allowed</EvalDecision></member>"
      "<member><EvalActionName>s3:GetObject</EvalActionName><EvalResourceName>arn:aws:s3:::a</EvalResourceName>"
      "<EvalDecision>implicitDeny</EvalDecision></member>",
      "<IsTruncated>true</IsTruncated><Marker>next</Marker>");
  // Several resources: the decisions are beneath, and the one above is that of them all.
  answer(
      "<member><EvalActionName>s3:ListBucket</EvalActionName><EvalResourceName>*</EvalResourceName>"
      "<EvalDecision>implicitDeny</EvalDecision><ResourceSpecificResults>"
      "<member><EvalResourceName>arn:aws:s3:::a</EvalResourceName><EvalResourceDecision>allowed"
      "</EvalResourceDecision></member><member><EvalResourceName>arn:aws:s3:::b</EvalResourceName>"
      "<EvalResourceDecision>explicitDeny</EvalResourceDecision></member></ResourceSpecificResults></member>"
      "<member><EvalActionName>ec2:DescribeImages</EvalActionName><EvalDecision>implicitDeny</EvalDecision>"
      "<OrganizationsDecisionDetail><AllowedByOrganizations>false</AllowedByOrganizations>"
      "</OrganizationsDecisionDetail></member>",
      "<IsTruncated>false</IsTruncated>");
  const RightsQuestion question = {.actions = {"s3:PutObject", "s3:GetObject"},
                                   .resources = {"arn:aws:s3:::a"},
                                   .contexts = {{"aws:RequestTag/imgrec:fleet", "imgrec"}}};
  const auto missing = aws::missing_rights(world_.session, kUser, {&question, 1}, limits());
  ASSERT_TRUE(missing) << missing.error().message;
  EXPECT_EQ(aws::describe_missing(*missing, 5),
            "s3:GetObject on arn:aws:s3:::a, s3:ListBucket on arn:aws:s3:::b (denied explicitly), "
            "ec2:DescribeImages (denied by the organization)");
  EXPECT_EQ(aws::describe_missing(*missing, 1), "s3:GetObject on arn:aws:s3:::a; and 2 more actions");
  std::vector<aws::MissingRight> many(3, missing->front());
  EXPECT_EQ(aws::describe_missing(many, 1), "s3:GetObject on arn:aws:s3:::a and 2 others");
  auto form = world_.imposter.last().form();
  EXPECT_EQ(form.at("PolicySourceArn"), kUser);
  EXPECT_EQ(form.at("ActionNames.member.2"), "s3:GetObject");
  EXPECT_EQ(form.at("ResourceArns.member.1"), "arn:aws:s3:::a");
  EXPECT_EQ(form.at("ContextEntries.member.1.ContextKeyName"), "aws:RequestTag/imgrec:fleet");
  EXPECT_EQ(form.at("ContextEntries.member.1.ContextKeyValues.member.1"), "imgrec");
  EXPECT_EQ(form.at("Marker"), "next");
}

TEST_F(SimulatedRights, WhoMayNotAskIsToldFromWhoIsMissing) {
  const RightsQuestion question = {.actions = {"s3:PutObject"}, .resources = {}, .contexts = {}};
  const auto refuse = [&](int status, const std::string& code) {
    world_.imposter.then(
        Reply{.status = status,
              .body = "<ErrorResponse><Error><Code>" + code + "</Code><Message>No.</Message></Error></ErrorResponse>"});
    return aws::missing_rights(world_.session, kUser, {&question, 1}, limits()).error().kind;
  };
  EXPECT_EQ(refuse(403, "AccessDenied"), ErrorKind::denied);
  EXPECT_EQ(refuse(404, "NoSuchEntity"), ErrorKind::not_found);
  world_.imposter.then(Reply{.body = "<R/>"});
  EXPECT_EQ(aws::missing_rights(world_.session, kUser, {&question, 1}, limits()).error().code, "bad_response");
}

TEST_F(SimulatedRights, PoliciesAreThoseOfTheUserOrOfTheRoleBehindASession) {
  EXPECT_EQ(aws::principal_of(world_.session, kUser, limits()), kUser);
  EXPECT_EQ(aws::principal_of(world_.session, "arn:aws:iam::1:root", limits()), std::nullopt);
  EXPECT_EQ(aws::principal_of(world_.session, "arn:aws:sts::1:federated-user/x", limits()), std::nullopt);
  world_.imposter.then(Reply{.body = "<R><GetRoleResult><Role><Arn>arn:aws:iam::1:role/sso/Admin</Arn></Role>"
                                     "</GetRoleResult></R>"});
  const char* const session = "arn:aws:sts::1:assumed-role/Admin/me";
  EXPECT_EQ(aws::principal_of(world_.session, session, limits()), "arn:aws:iam::1:role/sso/Admin");
  EXPECT_EQ(world_.imposter.last().form().at("RoleName"), "Admin");
  world_.imposter.then(Reply{.status = 403,
                             .body = "<ErrorResponse><Error><Code>AccessDenied</Code></Error>"
                                     "</ErrorResponse>"});
  EXPECT_EQ(aws::principal_of(world_.session, session, limits()), "arn:aws:iam::1:role/Admin");
}

}  // namespace
}  // namespace imgrec::simulated_rights_test
