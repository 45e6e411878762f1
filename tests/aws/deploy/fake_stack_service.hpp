// A CloudFormation of one stack: what it answers next is decided by the test.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "aws/deploy/stack_service.hpp"

namespace imgrec::test {

inline constexpr const char* kStackArn = "arn:aws:cloudformation:eu-central-1:123456789012:stack/imgrec/1";

class FakeStackService final : public aws::StackService {
 public:
  // One look at a stack that changes: its status then, and what happened until then, oldest first.
  struct Look {
    std::string status;
    std::vector<aws::StackEvent> events;
  };

  std::optional<std::string> status;  // of the stack; nothing: there is none
  std::deque<Look> looks;             // what is to come, one for each describe()
  std::vector<Look> after_execute, after_delete;
  std::vector<aws::ChangeSet> sets;  // those that are there
  std::string set_status = "CREATE_COMPLETE", set_reason;
  std::vector<aws::ResourceChange> changes = {{"Add", "RequestQueue", "AWS::SQS::Queue", ""}};
  bool execute_is_late = false;    // another change set was executed meanwhile
  std::vector<std::string> calls;  // those that change something
  std::optional<aws::ChangeSetRequest> made;

  aws::StackEvent event(const std::string& name, const std::string& state, const std::string& reason = "") {
    const bool whole = name == "imgrec";
    aws::StackEvent out;
    out.name = name;
    out.type = whole ? "AWS::CloudFormation::Stack" : "AWS::SQS::Queue";
    out.id = whole ? kStackArn : name;
    out.status = state;
    out.reason = reason;
    out.event_id = std::to_string(++events_made_);
    return out;
  }

  Result<std::optional<aws::Stack>> describe(const std::string&, const CallLimits& limits) override {
    if (limits.stop.stop_requested()) return fail(ErrorKind::cancelled, "cancelled", "stopped");
    if (!looks.empty()) {
      status = looks.front().status;
      for (aws::StackEvent& one : looks.front().events) events_.insert(events_.begin(), one);
      looks.pop_front();
      if (status == "GONE") status.reset();
    }
    if (!status) return std::nullopt;
    return aws::Stack{.id = kStackArn, .status = *status, .reason = {}, .outputs = {{"LaunchTemplate", "lt-1"}}};
  }
  Result<std::vector<aws::StackEvent>> latest_events(const aws::Stack&, const CallLimits&) override { return events_; }
  Result<std::vector<aws::ChangeSet>> change_sets(const aws::Stack&, const CallLimits&) override { return sets; }
  Result<void> create_change_set(const aws::ChangeSetRequest& request, const CallLimits&) override {
    calls.push_back("create " + request.name);
    made = request;
    if (!status) status = "REVIEW_IN_PROGRESS";
    return {};
  }
  Result<std::optional<aws::ChangeSet>> change_set(const std::string&, const std::string& name,
                                                   const CallLimits&) override {
    if (looks_at_set_++ == 0) return std::nullopt;  // not there yet
    return aws::ChangeSet{.name = name,
                          .stack_id = kStackArn,
                          .status = looks_at_set_ == 2 ? "CREATE_IN_PROGRESS" : set_status,
                          .execution_status = "AVAILABLE",
                          .reason = set_reason,
                          .description = {},
                          .created_at = {},
                          .changes = changes};
  }
  Result<void> delete_change_set(const std::string&, const std::string& name, const CallLimits&) override {
    calls.push_back("delete " + name);
    return {};
  }
  Result<void> execute(const std::string&, const std::string& name, const CallLimits&) override {
    calls.push_back("execute " + name);
    if (execute_is_late) return fail(ErrorKind::not_found, "no_change_set", "It is gone.");
    looks.insert(looks.end(), after_execute.begin(), after_execute.end());
    return {};
  }
  Result<void> delete_stack(const aws::Stack&, const CallLimits&) override {
    calls.push_back("delete stack");
    looks.insert(looks.end(), after_delete.begin(), after_delete.end());
    return {};
  }

 private:
  std::vector<aws::StackEvent> events_;  // latest first
  int events_made_ = 0, looks_at_set_ = 0;
};

}  // namespace imgrec::test
