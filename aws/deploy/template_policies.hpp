// The IAM policies of the template: those of configs/iam with their words in capitals replaced.
#pragma once

#include <string>
#include <string_view>

#include "aws/deploy/template.hpp"
#include "lib/base/result.hpp"
#include "lib/config/config.hpp"

namespace imgrec::aws {

/// "imgrec-worker" of the role "worker": the name of its IAM role, its instance profile and its launch template.
std::string stack_name_of(const Config& config, std::string_view role);

enum class PolicyOf { role, deployer, stack };

/// What the words REGION and ACCOUNT_ID stand for, and for whom a policy is.
struct PolicyUse {
  std::string region = "${AWS::Region}",
              account = "${AWS::AccountId}";  // in a template: CloudFormation's own (Fn::Sub)
  PolicyOf who = PolicyOf::role;
};

/// policy: the text of a file of configs/iam. Returns it as JSON, as configs/iam/README.md says to change it for these
/// settings. Statements that this deployment does not need are
/// left out. Errors: invalid "kms_alias".
Result<std::string> render_policy(std::string_view policy, const Config& config, const TemplateInputs& inputs,
                                  const PolicyUse& use = {});

}  // namespace imgrec::aws
