// What a launch of instances needs, asked of EC2, IAM and Service Quotas. For `imgrec doctor`: nothing is changed or
// started. Beside what is said below, errors are those of the call layer: denied where a right is missing.
#pragma once

#include <string>
#include <vector>

#include "aws/adapters/ec2_fleet.hpp"
#include "aws/client/session.hpp"
#include "lib/base/clock.hpp"

namespace imgrec::aws {

/// Asks EC2 whether a launch of one instance in the first pool would be allowed (DryRun).
/// Errors: invalid "bad_fleet" without a call; denied, invalid, not_found as a launch would give them.
Result<void> check_ec2_launch(Session& session, const Ec2FleetOptions& options);

struct ImageInfo {
  std::string state;         // "available"
  std::string architecture;  // "x86_64", "arm64"
  std::string name;
};
/// Errors: not_found "no_such_image".
Result<ImageInfo> describe_image(Session& session, const std::string& image_id, const CallLimits& limits);

enum class Ec2Thing { subnet, security_group, key_pair, launch_template };
/// How many of those are there. names: ids; of key pairs names; launch templates by id (lt-…) or name.
/// Errors: invalid when EC2 says that one is not there.
Result<std::size_t> count_existing(Session& session, Ec2Thing thing, const std::vector<std::string>& names,
                                   const CallLimits& limits);

/// The vCPUs of the largest of these types. Errors: invalid or not_found for a type that does not exist.
Result<int> most_vcpus(Session& session, const std::vector<std::string>& types, const CallLimits& limits);

/// The name of the role in the instance profile. Errors: not_found; invalid "no_role".
Result<std::string> role_of_profile(Session& session, const std::string& profile_name, const CallLimits& limits);

/// The account's limit of vCPUs of running instances of the families A, C, D, H, I, M, R, T and Z together
/// (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-quotas.html).
Result<double> vcpu_quota(Session& session, bool spot, const CallLimits& limits);

}  // namespace imgrec::aws
