#include "aws/deploy/deploy_stack.hpp"

#include <gtest/gtest.h>

#include "tests/aws/deploy/fake_stack_service.hpp"
#include "tests/aws/deploy/passing_clock.hpp"

namespace imgrec::deploy_stack_test {
namespace {

using aws::ChangeSetUse;
using aws::DeployEnd;
using aws::StackStep;

using test::PassingClock;

class DeployStack : public testing::Test {
 protected:
  Result<aws::DeployOutcome> deploy() {
    return aws::deploy_stack(service_, request_, talk_, clock_, stop_.get_token());
  }
  bool said(std::string_view words) const {
    for (const std::string& line : lines_) {
      if (line.find(words) != line.npos) return true;
    }
    return false;
  }
  aws::ChangeSet set_of(const std::string& name, const std::string& description) {
    return {.name = name,
            .stack_id = test::kStackArn,
            .status = "CREATE_COMPLETE",
            .execution_status = "AVAILABLE",
            .reason = {},
            .description = description,
            .created_at = "2026-01-01T08:00:00Z",
            .changes = {}};
  }

  test::FakeStackService service_;
  PassingClock clock_;
  std::stop_source stop_;
  std::vector<std::string> lines_, questions_;
  int shown_ = 0;
  bool answer_ = true;
  aws::DeployTalk talk_ = {.say = [this](const std::string& line) { lines_.push_back(line); },
                           .show = [this](const aws::ChangeSet&) { ++shown_; },
                           .confirm = [this](const std::string& question) -> Result<bool> {
                             questions_.push_back(question);
                             return answer_;
                           }};
  aws::DeployRequest request_ = {.change = {.stack = "imgrec",
                                            .name = "imgrec-deploy-1",
                                            .creates = false,
                                            .template_text = "{}",
                                            .parameters = {},
                                            .tags = {},
                                            .description = {},
                                            .role = {}},
                                 .self = {.host = "laptop", .process = 7},
                                 .is_running = [](long process) { return process == 8; },
                                 .take_over = false,
                                 .only_show = false};
};

TEST(StackState, NextStep) {
  const std::pair<const char*, StackStep> rows[] = {{"REVIEW_IN_PROGRESS", StackStep::create},
                                                    {"DELETE_COMPLETE", StackStep::create},
                                                    {"CREATE_COMPLETE", StackStep::update},
                                                    {"UPDATE_COMPLETE", StackStep::update},
                                                    {"UPDATE_ROLLBACK_COMPLETE", StackStep::update},
                                                    {"IMPORT_COMPLETE", StackStep::update},
                                                    {"CREATE_IN_PROGRESS", StackStep::follow},
                                                    {"ROLLBACK_IN_PROGRESS", StackStep::follow},
                                                    {"UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", StackStep::follow},
                                                    {"DELETE_IN_PROGRESS", StackStep::follow},
                                                    {"ROLLBACK_COMPLETE", StackStep::remake},
                                                    {"ROLLBACK_FAILED", StackStep::remake},
                                                    {"CREATE_FAILED", StackStep::remake},
                                                    {"DELETE_FAILED", StackStep::undeploy},
                                                    {"UPDATE_ROLLBACK_FAILED", StackStep::stuck}};
  for (const auto& [status, step] : rows) EXPECT_EQ(aws::next_step(status), step) << status;
  EXPECT_EQ(aws::next_step(std::nullopt), StackStep::create);
}

TEST(StackState, AHolderIsReadBack) {
  const aws::StackHolder holder{.host = "a host on a hill", .process = 4711};
  EXPECT_EQ(aws::parse_holder(aws::describe_holder(holder)), holder);
  for (const char* text : {"", "by hand", "imgrec deploy, process x on y", "imgrec deploy, process 1"}) {
    EXPECT_FALSE(aws::parse_holder(text)) << text;
  }
}

TEST_F(DeployStack, UsesOfChangeSets) {
  const auto use = [&](const aws::ChangeSet& set) { return aws::use_of(set, request_.self, request_.is_running); };
  const auto by = [&](const char* host, long process) {
    return set_of("imgrec-deploy-0", aws::describe_holder({.host = host, .process = process}));
  };
  EXPECT_EQ(use(by("laptop", 8)), ChangeSetUse::held);
  EXPECT_EQ(use(by("laptop", 9)), ChangeSetUse::leftover);
  EXPECT_EQ(use(by("laptop", 7)), ChangeSetUse::leftover) << "an earlier process of the same number";
  EXPECT_EQ(use(by("another", 9)), ChangeSetUse::held) << "whether it runs cannot be seen from here";
  EXPECT_EQ(use(set_of("imgrec-deploy-0", "no words of ours")), ChangeSetUse::held);
  EXPECT_EQ(use(set_of("by-hand", "")), ChangeSetUse::none);
  auto over = by("another", 9);
  over.execution_status = "EXECUTE_COMPLETE";
  EXPECT_EQ(use(over), ChangeSetUse::none);
  over.status = "FAILED";
  EXPECT_EQ(use(over), ChangeSetUse::leftover);
  over.status = "CREATE_PENDING";
  EXPECT_EQ(use(over), ChangeSetUse::held);
}

TEST(StackState, ChangesAreATable) {
  const std::vector<aws::ResourceChange> changes = {{"Modify", "WorkerRole", "AWS::IAM::Role", "Conditional"},
                                                    {"Modify", "RequestQueue", "AWS::SQS::Queue", "True"},
                                                    {"Modify", "DeadLetterQueue", "AWS::SQS::Queue", "False"}};
  const std::vector<std::vector<std::string>> wanted = {{"ACTION", "RESOURCE", "TYPE", "REPLACEMENT"},
                                                        {"Modify", "WorkerRole", "AWS::IAM::Role", "perhaps replaced"},
                                                        {"Modify", "RequestQueue", "AWS::SQS::Queue", "replaced"},
                                                        {"Modify", "DeadLetterQueue", "AWS::SQS::Queue", ""}};
  EXPECT_EQ(aws::change_rows(changes), wanted);
}

TEST_F(DeployStack, AFirstStackIsShownThenMade) {
  service_.after_execute = {
      {"REVIEW_IN_PROGRESS", {}},  // the change begins a little later
      {"CREATE_IN_PROGRESS",
       {service_.event("imgrec", "CREATE_IN_PROGRESS"), service_.event("RequestQueue", "CREATE_IN_PROGRESS")}},
      {"CREATE_COMPLETE",
       {service_.event("RequestQueue", "CREATE_COMPLETE"), service_.event("imgrec", "CREATE_COMPLETE")}}};
  const auto done = deploy();
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->end, DeployEnd::changed);
  EXPECT_EQ(done->outputs.front().second, "lt-1");
  EXPECT_EQ(service_.calls, (std::vector<std::string>{"create imgrec-deploy-1", "execute imgrec-deploy-1"}));
  EXPECT_TRUE(service_.made->creates);
  EXPECT_EQ(service_.made->description, "imgrec deploy, process 7 on laptop");
  EXPECT_EQ(shown_, 1);
  EXPECT_EQ(lines_, (std::vector<std::string>{"imgrec  CREATE_IN_PROGRESS", "RequestQueue  CREATE_IN_PROGRESS",
                                              "RequestQueue  CREATE_COMPLETE", "imgrec  CREATE_COMPLETE"}));
}

TEST_F(DeployStack, AnUpdateThatHasTheSameStatusBeforeAndAfterIsWaitedFor) {
  service_.looks = {{"UPDATE_COMPLETE", {service_.event("imgrec", "UPDATE_COMPLETE")}}};
  service_.after_execute = {{"UPDATE_COMPLETE", {}},
                            {"UPDATE_IN_PROGRESS", {service_.event("imgrec", "UPDATE_IN_PROGRESS")}},
                            {"UPDATE_COMPLETE", {service_.event("imgrec", "UPDATE_COMPLETE")}}};
  const auto done = deploy();
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->end, DeployEnd::changed);
  EXPECT_FALSE(service_.made->creates);
  EXPECT_TRUE(service_.looks.empty());
  EXPECT_EQ(lines_.size(), 2u) << "what happened before is not told again";
}

TEST_F(DeployStack, NoChangesAreASuccessAndLeaveNothing) {
  service_.status = "CREATE_COMPLETE";
  service_.set_status = "FAILED";
  service_.set_reason = "The submitted information didn't contain changes. Submit different information …";
  const auto done = deploy();
  ASSERT_TRUE(done);
  EXPECT_EQ(done->end, DeployEnd::unchanged);
  EXPECT_EQ(done->outputs.size(), 1u);
  EXPECT_EQ(service_.calls.back(), "delete imgrec-deploy-1");
  EXPECT_TRUE(questions_.empty());
}

TEST_F(DeployStack, AChangeSetThatCannotBeMadeSaysWhyAndLeavesNothing) {
  service_.set_status = "FAILED";
  service_.set_reason = "Template format error";
  const auto done = deploy();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, "change_set_failed");
  EXPECT_NE(done.error().message.find("Template format error"), std::string::npos);
  EXPECT_EQ(service_.calls,
            (std::vector<std::string>{"create imgrec-deploy-1", "delete imgrec-deploy-1", "delete stack"}));
}

TEST_F(DeployStack, ANoAndADryRunLeaveNothing) {
  const std::vector<std::string> wanted = {"create imgrec-deploy-1", "delete imgrec-deploy-1", "delete stack"};
  answer_ = false;
  auto done = deploy();
  ASSERT_TRUE(done);
  EXPECT_EQ(done->end, DeployEnd::declined);
  EXPECT_EQ(service_.calls, wanted);

  service_.calls.clear();
  service_.status.reset();
  questions_.clear();
  request_.only_show = true;
  done = deploy();
  ASSERT_TRUE(done);
  EXPECT_EQ(done->end, DeployEnd::shown);
  EXPECT_EQ(shown_, 2);
  EXPECT_TRUE(questions_.empty());
  EXPECT_EQ(service_.calls, wanted);
}

TEST_F(DeployStack, ADryRunLeavesAStackThatWasThereBefore) {
  service_.status = "REVIEW_IN_PROGRESS";
  request_.only_show = true;
  ASSERT_TRUE(deploy());
  EXPECT_EQ(service_.calls, (std::vector<std::string>{"create imgrec-deploy-1", "delete imgrec-deploy-1"}));
}

TEST_F(DeployStack, WithoutAPersonNothingStays) {
  talk_.confirm = [](const std::string&) -> Result<bool> { return fail(ErrorKind::invalid, "no_consent", "Nobody."); };
  const auto done = deploy();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, "no_consent");
  EXPECT_EQ(service_.calls.back(), "delete stack");
}

TEST_F(DeployStack, WhatWasInterruptedGoesOn) {
  service_.looks = {{"CREATE_IN_PROGRESS", {service_.event("RequestQueue", "CREATE_IN_PROGRESS")}},
                    {"CREATE_IN_PROGRESS", {}},
                    {"CREATE_COMPLETE", {service_.event("imgrec", "CREATE_COMPLETE")}}};
  service_.set_status = "FAILED";
  service_.set_reason = "The submitted information didn't contain changes.";
  const auto done = deploy();
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->end, DeployEnd::unchanged);
  EXPECT_TRUE(said("CREATE_IN_PROGRESS): another imgrec deploy"));
  EXPECT_TRUE(said("RequestQueue  CREATE_IN_PROGRESS"));
}

TEST_F(DeployStack, InterruptedWhileItWaitsItSaysThatTheChangeGoesOn) {
  service_.after_execute = {{"CREATE_IN_PROGRESS", {service_.event("imgrec", "CREATE_IN_PROGRESS")}}};
  clock_.stop_at = 4;  // two of them for the change set
  clock_.on_sleep = [&] { stop_.request_stop(); };
  const auto done = deploy();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().kind, ErrorKind::cancelled);
  EXPECT_NE(done.error().message.find("goes on there"), std::string::npos);
}

TEST_F(DeployStack, AChangeThatNeverEndsEndsHere) {
  service_.after_execute = {{"CREATE_IN_PROGRESS", {service_.event("imgrec", "CREATE_IN_PROGRESS")}}};
  const auto done = deploy();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, "timeout");
}

TEST_F(DeployStack, ALeftoverIsRemovedAndAHolderIsNamed) {
  service_.status = "REVIEW_IN_PROGRESS";
  service_.sets = {set_of("imgrec-deploy-0", "imgrec deploy, process 9 on laptop"), set_of("by-hand", "")};
  request_.only_show = true;
  ASSERT_TRUE(deploy());
  EXPECT_EQ(service_.calls.front(), "delete imgrec-deploy-0");
  EXPECT_EQ(service_.calls.size(), 3u);

  service_.calls.clear();
  service_.sets = {set_of("imgrec-deploy-0", "imgrec deploy, process 9 on another")};
  const auto held = deploy();
  ASSERT_FALSE(held);
  EXPECT_EQ(held.error().code, "held");
  EXPECT_NE(held.error().message.find("process 9 on another\" since 2026-01-01T08:00:00Z"), std::string::npos);
  EXPECT_TRUE(service_.calls.empty());

  request_.take_over = true;
  ASSERT_TRUE(deploy());
  EXPECT_EQ(service_.calls.front(), "delete imgrec-deploy-0");
}

TEST_F(DeployStack, OfTwoAtOnceTheLaterOneSaysSo) {
  service_.execute_is_late = true;
  const auto done = deploy();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, "held");
}

TEST_F(DeployStack, AFailureIsToldByItsFirstCause) {
  service_.status = "UPDATE_COMPLETE";
  service_.after_execute = {
      {"UPDATE_ROLLBACK_COMPLETE",
       {service_.event("imgrec", "UPDATE_IN_PROGRESS"), service_.event("InputBucket", "CREATE_FAILED", "it is taken"),
        service_.event("RequestQueue", "CREATE_FAILED", "Resource creation cancelled"),
        service_.event("imgrec", "UPDATE_ROLLBACK_IN_PROGRESS"),
        service_.event("imgrec", "UPDATE_ROLLBACK_COMPLETE")}}};
  const auto done = deploy();
  ASSERT_TRUE(done);
  EXPECT_EQ(done->end, DeployEnd::failed);
  EXPECT_EQ(lines_.back(),
            "The stack is UPDATE_ROLLBACK_COMPLETE. First failure: InputBucket (AWS::SQS::Queue): it is taken");
}

TEST_F(DeployStack, AFailedFirstCreationIsRemovedWithConsentAndMadeAnew) {
  service_.status = "ROLLBACK_COMPLETE";
  service_.after_delete = {{"DELETE_IN_PROGRESS", {service_.event("imgrec", "DELETE_IN_PROGRESS")}},
                           {"DELETE_COMPLETE", {service_.event("imgrec", "DELETE_COMPLETE")}},
                           {"GONE", {}}};
  service_.after_execute = {{"CREATE_COMPLETE", {service_.event("imgrec", "CREATE_COMPLETE")}}};
  auto done = deploy();
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->end, DeployEnd::changed);
  EXPECT_EQ(service_.calls,
            (std::vector<std::string>{"delete stack", "create imgrec-deploy-1", "execute imgrec-deploy-1"}));
  EXPECT_EQ(questions_.size(), 2u);

  service_.status = "ROLLBACK_COMPLETE";
  service_.calls.clear();
  answer_ = false;
  done = deploy();
  ASSERT_TRUE(done);
  EXPECT_EQ(done->end, DeployEnd::declined);
  EXPECT_TRUE(service_.calls.empty());

  request_.only_show = true;
  EXPECT_EQ(deploy().error().code, "stack_stuck");
}

TEST_F(DeployStack, WhatAPersonHasToDoIsSaid) {
  for (const auto& [status, words] :
       {std::pair{"DELETE_FAILED", "imgrec undeploy"}, std::pair{"UPDATE_ROLLBACK_FAILED", "console"}}) {
    service_.status = status;
    const auto done = deploy();
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().kind, ErrorKind::invalid);
    EXPECT_NE(done.error().message.find(words), std::string::npos);
  }
  EXPECT_TRUE(service_.calls.empty());
}

class DeleteStack : public DeployStack {
 protected:
  Result<DeployEnd> remove() {
    return aws::delete_whole_stack(service_, "imgrec", {}, talk_, clock_, stop_.get_token());
  }
};

TEST_F(DeleteStack, IsFollowedToItsEnd) {
  service_.status = "UPDATE_COMPLETE";
  service_.after_delete = {{"UPDATE_COMPLETE", {}},
                           {"DELETE_IN_PROGRESS", {service_.event("RequestQueue", "DELETE_IN_PROGRESS")}},
                           {"DELETE_COMPLETE", {}}};
  EXPECT_EQ(remove().value(), DeployEnd::changed);
  EXPECT_EQ(lines_, (std::vector<std::string>{"RequestQueue  DELETE_IN_PROGRESS"}));
  service_.status.reset();
  EXPECT_EQ(remove().value(), DeployEnd::unchanged);
}

TEST_F(DeleteStack, AChangeIsWaitedForAndADeletionIsTakenUp) {
  service_.looks = {{"CREATE_IN_PROGRESS", {}}, {"CREATE_COMPLETE", {}}};
  service_.after_delete = {{"DELETE_COMPLETE", {}}};
  EXPECT_EQ(remove().value(), DeployEnd::changed);
  EXPECT_EQ(service_.calls, (std::vector<std::string>{"delete stack"}));

  service_.calls.clear();
  service_.looks = {{"DELETE_IN_PROGRESS", {}}, {"DELETE_COMPLETE", {}}};
  EXPECT_EQ(remove().value(), DeployEnd::changed);
  EXPECT_TRUE(service_.calls.empty());
}

TEST_F(DeleteStack, AFailureSaysItsFirstCause) {
  service_.status = "CREATE_COMPLETE";
  service_.after_delete = {{"DELETE_FAILED",
                            {service_.event("WorkerSecurityGroup", "DELETE_FAILED", "has a dependent object"),
                             service_.event("imgrec", "DELETE_FAILED")}}};
  EXPECT_EQ(remove().value(), DeployEnd::failed);
  EXPECT_TRUE(said("WorkerSecurityGroup (AWS::SQS::Queue): has a dependent object"));
}

}  // namespace
}  // namespace imgrec::deploy_stack_test
