// What CloudFormation says of a stack, read only: its state, its resources, and why it failed.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "aws/client/session.hpp"
#include "lib/base/clock.hpp"

namespace imgrec::aws {

struct Stack {
  std::string id;                                            // its ARN: names also one that is deleted
  std::string status;                                        // "CREATE_COMPLETE", "UPDATE_ROLLBACK_FAILED", …
  std::string reason;                                        // CloudFormation's own words for the status; often empty
  std::vector<std::pair<std::string, std::string>> outputs;  // name, value
};

struct StackResource {
  std::string name;    // in the template: "RequestQueue"
  std::string type;    // "AWS::SQS::Queue"
  std::string id;      // what it was made as; empty until then
  std::string status;  // "CREATE_IN_PROGRESS", …
  std::string reason;  // empty where nothing is to be said
};

/// A thing that happened is told like a resource: its state from then on.
using StackEvent = StackResource;

/// Thread-safe; blocks until the answer is there or the limits end.
class CloudFormation {
 public:
  /// session outlives it.
  explicit CloudFormation(Session& session) : session_(session) {}

  /// Nothing: there is no stack of that name.
  Result<std::optional<Stack>> describe(const std::string& name, const CallLimits& limits);
  /// In the order of CloudFormation.
  Result<std::vector<StackResource>> resources(const Stack& stack, const CallLimits& limits);
  /// What happened since the stack's latest change began, latest first.
  Result<std::vector<StackEvent>> latest_events(const Stack& stack, const CallLimits& limits);

 private:
  Session& session_;
};

/// Why a change failed: the earliest failure that is none of the many that only follow from it (cancelled resources,
/// the stack itself). events: latest first. Nothing: nothing has failed.
std::optional<StackEvent> first_cause(std::span<const StackEvent> events, const Stack& stack);

/// Whether the latest change of a stack with that status failed, or was rolled back.
bool has_failed(std::string_view status);

}  // namespace imgrec::aws
