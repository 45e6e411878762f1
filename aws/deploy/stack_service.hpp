// What imgrec asks of CloudFormation: stacks, their events, and changes that are shown before they are made.
//
// Threads   safe; calls block until the answer is there or the limits end.
// Failure   belongs to the caller. What is not there is nothing, not an error.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/clock.hpp"

namespace imgrec::aws {

struct Stack {
  std::string id;                                            // its ARN: names also one that is deleted
  std::string status;                                        // "CREATE_COMPLETE", "UPDATE_ROLLBACK_FAILED", …
  std::string reason;                                        // CloudFormation's own words for the status; often empty
  std::vector<std::pair<std::string, std::string>> outputs;  // name, value
  std::string role{};                                        // ARN of what CloudFormation acts as; empty: as the caller
};

struct StackResource {
  std::string name;    // in the template: "RequestQueue"
  std::string type;    // "AWS::SQS::Queue"
  std::string id;      // what it was made as; empty until then
  std::string status;  // "CREATE_IN_PROGRESS", …
  std::string reason;  // empty where nothing is to be said
};

/// A thing that happened: the state of a resource from then on.
struct StackEvent : StackResource {
  std::string event_id{};
};

/// What a change set would do to one resource.
struct ResourceChange {
  std::string action;       // "Add", "Modify", "Remove", "Import"
  std::string name, type;   // as in StackResource
  std::string replacement;  // of "Modify": "True", "False", "Conditional"
};

struct ChangeSet {
  std::string name;
  std::string stack_id;
  std::string status;            // "CREATE_IN_PROGRESS", "CREATE_COMPLETE", "FAILED", …
  std::string execution_status;  // "AVAILABLE", "UNAVAILABLE", "EXECUTE_COMPLETE", …
  std::string reason;
  std::string description;
  std::string created_at;               // as CloudFormation writes it
  std::vector<ResourceChange> changes;  // not in a list of change sets
};

struct StackParameter {
  std::string name;
  std::optional<std::string> value;  // nothing: as the stack has it
};

struct ChangeSetRequest {
  std::string stack;  // its name
  std::string name;   // of the change set; another for each
  bool creates = false;
  std::string template_text;
  std::string template_url = {};  // where S3 has it instead, when it is too long for a call
  std::vector<StackParameter> parameters;
  std::vector<std::pair<std::string, std::string>> tags;  // of the stack
  std::string description;
  std::string role = {};  // its ARN: CloudFormation acts with it, now and later; empty: as the caller, or as before
};

class StackService {
 public:
  virtual ~StackService() = default;

  /// stack: a name, or an id, which also finds a deleted one.
  virtual Result<std::optional<Stack>> describe(const std::string& stack, const CallLimits& limits) = 0;
  /// What happened since the stack's latest change began, latest first.
  virtual Result<std::vector<StackEvent>> latest_events(const Stack& stack, const CallLimits& limits) = 0;

  virtual Result<std::vector<ChangeSet>> change_sets(const Stack& stack, const CallLimits& limits) = 0;
  /// It is made in the background: see change_set(). Resources that are there already under the names of the template,
  /// and that a deleted stack would leave, become the stack's.
  virtual Result<void> create_change_set(const ChangeSetRequest& request, const CallLimits& limits) = 0;
  virtual Result<std::optional<ChangeSet>> change_set(const std::string& stack, const std::string& name,
                                                      const CallLimits& limits) = 0;
  virtual Result<void> delete_change_set(const std::string& stack, const std::string& name,
                                         const CallLimits& limits) = 0;
  /// Begins the change, at whose start CloudFormation removes the stack's other change sets. When it fails, nothing
  /// that it made stays. Errors: not_found "no_change_set" for one that is gone.
  virtual Result<void> execute(const std::string& stack, const std::string& name, const CallLimits& limits) = 0;
  /// Begins the deletion.
  virtual Result<void> delete_stack(const Stack& stack, const CallLimits& limits) = 0;
};

}  // namespace imgrec::aws
