// Whether somebody has the rights of a policy of configs/iam, asked of IAM's policy simulator before anything is made.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aws/client/session.hpp"
#include "aws/deploy/template.hpp"
#include "lib/base/clock.hpp"

namespace imgrec::aws {

/// Where somebody's resources are: what their ARNs have in common.
struct AccountPlace {
  std::string partition, account, region;  // "aws", "123456789012", "eu-central-1"
};
/// arn: of anybody in the account. Nothing: the text is no ARN.
std::optional<AccountPlace> place_of(std::string_view arn, const std::string& region);

/// Some actions on some resources, which IAM is asked about in one call.
struct RightsQuestion {
  std::vector<std::string> actions;
  std::vector<std::string> resources;                         // ARNs; none: the actions know no resource
  std::vector<std::pair<std::string, std::string>> contexts;  // what conditions look at, with values that fulfil them
};

/// The actions that the file allows, as the settings change it (configs/iam/README.md). policy: kDeployerPolicy or
/// kStackPolicy. Actions with wildcards are left out: the simulator takes none. Pure. Errors: as render_policy().
Result<std::vector<RightsQuestion>> questions_of(std::string_view policy, const Config& config,
                                                 const TemplateInputs& inputs, const AccountPlace& place);

struct MissingRight {
  std::string action, resource;  // "cloudformation:CreateChangeSet"; "*" where the action knows no resource
  std::string why;               // "denied explicitly", "denied by the organization"; empty: nothing allows it
};

/// The rights that `who` lacks. who: the ARN of a user or of a role. It sees the policies of `who`, permissions
/// boundaries and those of an organization, not policies of buckets and keys
/// (https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html). Errors: denied where the
/// caller may not ask (iam:SimulatePrincipalPolicy), not_found where there is no such user or role.
Result<std::vector<MissingRight>> missing_rights(Session& session, const std::string& who,
                                                 std::span<const RightsQuestion> questions, const CallLimits& limits);

/// Whose policies a caller has: a user itself, of "…:assumed-role/ROLE/SESSION" the role, which has a path that only
/// IAM knows. arn: as STS tells it. Nothing: a caller without policies of its own (the account's root, a federated
/// user).
std::optional<std::string> principal_of(Session& session, const std::string& arn, const CallLimits& limits);

/// "cloudformation:CreateChangeSet on ARN, …", no more than `most` of them, then how many there are besides.
std::string describe_missing(std::span<const MissingRight> missing, std::size_t most);

}  // namespace imgrec::aws
