// The rights that `imgrec deploy` needs, asked before it makes anything.
#pragma once

#include <string>
#include <vector>

#include "aws/client/session.hpp"
#include "aws/deploy/rights.hpp"
#include "aws/deploy/stack_service.hpp"
#include "lib/config/config.hpp"

namespace imgrec {

/// Whether somebody has the rights of a file of configs/iam.
struct RightsAnswer {
  std::string who;          // ARN of the caller, or of the role that CloudFormation acts as
  std::string file;         // "configs/iam/deployer.json"
  bool is_caller = true;    // who is the caller
  std::size_t actions = 0;  // that were asked about
  std::vector<aws::MissingRight> missing;
  std::string unknown;   // why IAM did not say; empty: it did
  bool is_gone = false;  // there is no such role
};

/// The deployer's rights of the caller whom STS tells as `caller`.
RightsAnswer deployer_rights(aws::Session& session, const Config& config, const std::string& caller,
                             const CallLimits& limits);

/// The rights of what CloudFormation acts as when it changes the stack. role: its ARN; empty: the caller.
RightsAnswer stack_rights(aws::Session& session, const Config& config, const std::string& caller,
                          const std::string& role, const CallLimits& limits);

/// "52 actions of configs/iam/deployer.json are allowed", "missing of …: …", or why it is not known.
std::string describe(const RightsAnswer& answer);

/// What to do about missing rights.
std::string advice(const RightsAnswer& answer);

struct StackToChange {
  std::string name;
  std::string role;  // that CloudFormation is to act as; empty: the one it has, else the caller
};
/// Stops a deployment that would fail halfway: asks for both. Where IAM does not say, that is said, and nobody is held
/// up. Errors: denied "rights_missing"; as caller_identity() and StackService::describe().
Result<void> require_rights(aws::Session& session, const Config& config, aws::StackService& service,
                            const StackToChange& stack, const CallLimits& limits);

}  // namespace imgrec
