// Brings a stack to what a template says, or ends it: step by step, each decided by what the stack is in at the moment,
// so that whoever was interrupted begins again and goes on.
#pragma once

#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "aws/deploy/stack_service.hpp"
#include "aws/deploy/stack_state.hpp"

namespace imgrec::aws {

/// The person in front of it.
struct DeployTalk {
  std::function<void(const std::string& line)> say;
  /// Shows the changes of a change set, before anything is asked.
  std::function<void(const ChangeSet& set)> show;
  /// Whether the answer is yes. Errors: there is nobody to be asked.
  std::function<Result<bool>(const std::string& question)> confirm;
};

struct DeployLimits {
  Millis poll{3'000};                     // between two looks at what changes
  Millis call{60'000};                    // each call, with its attempts
  Millis change_set{600'000};             // until a change set is made
  Millis change = std::chrono::hours(3);  // until a change of the stack has ended
};

struct DeployRequest {
  ChangeSetRequest change;  // `creates` and `description` are filled in
  StackHolder self;
  bool (*is_running)(long process) = nullptr;  // on this machine
  bool take_over = false;                      // removes the change set of another who seems to be at it
  bool only_show = false;                      // changes nothing
  DeployLimits limits = {};
};

enum class DeployEnd {
  changed,
  unchanged,  // it was so already
  declined,   // the answer was no: nothing was changed
  shown,      // only_show
  failed,     // the stack could not be changed; why was said
};

struct DeployOutcome {
  DeployEnd end = DeployEnd::unchanged;
  std::vector<std::pair<std::string, std::string>> outputs = {};  // of the stack: name, value
};

/// Errors: transient "held" when another process has a change set open, invalid "stack_stuck" when a person has to do
/// something to the stack first, "change_set_failed" with CloudFormation's reason, as confirm(), as the service.
Result<DeployOutcome> deploy_stack(StackService& service, const DeployRequest& request, const DeployTalk& talk,
                                   Clock& clock, std::stop_token stop);

/// Deletes the stack and waits for its end; unchanged: there is none. Nothing is asked.
Result<DeployEnd> delete_whole_stack(StackService& service, const std::string& name, const DeployLimits& limits,
                                     const DeployTalk& talk, Clock& clock, std::stop_token stop);

}  // namespace imgrec::aws
