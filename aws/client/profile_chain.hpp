// Which credentials a profile stands for: a base and the roles to assume with it, one after the other. Pure.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "aws/client/profile.hpp"
#include "aws/client/sigv4.hpp"
#include "lib/base/result.hpp"

namespace imgrec::aws {

struct NamedSource {
  std::string name;  // "Environment", "Ec2InstanceMetadata" or "EcsContainer"
};

struct WebIdentity {
  std::string role_arn;
  std::string token_file;
  std::string session_name;  // may be empty
};

struct CredentialProcess {
  std::string command;
  std::string account_id;  // where the command's answer has none
};

struct RoleStep {
  std::string role_arn;
  std::string session_name;  // may be empty
  std::string external_id;   // may be empty
  int duration_s = 0;        // 0: the service's default
};

struct ProfileChain {
  std::variant<Credentials, NamedSource, WebIdentity, CredentialProcess> base;
  std::vector<RoleStep> roles;  // in the order in which they are assumed
};

/// Of the selected profile. Errors: not_found "no_profile_credentials" when it holds none (another source may);
/// invalid "bad_aws_config" when what it holds does not fit together; invalid "sso_unsupported".
Result<ProfileChain> resolve_profile(const Profiles& profiles);

}  // namespace imgrec::aws
