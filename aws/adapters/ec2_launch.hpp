// What a launch says to EC2: the pure part of the fleet.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aws/adapters/ec2_api.hpp"
#include "aws/adapters/ec2_fleet.hpp"
#include "aws/client/call.hpp"
#include "aws/client/uri.hpp"

namespace imgrec::aws {

inline constexpr std::string_view kFleetTag = "imgrec:fleet";
inline constexpr std::string_view kAppTiersTag = "imgrec:app-tiers";
inline constexpr std::string_view kLaunchTag = "imgrec:launch";
inline constexpr std::string_view kLaunchedAtTag = "imgrec:launched-at";  // EC2 tells only the second

inline constexpr std::string_view kWebTag = "imgrec:web";  // of a stack's web instance, which is not of the fleet

/// The instances with that tag that are not ended yet, those that end now among them.
std::vector<Ec2Filter> live_filters(std::string_view tag, const std::string& value);

/// The instances of a fleet that are not ended yet, those that end now among them.
std::vector<Ec2Filter> fleet_filters(const std::string& fleet);

/// One kind of capacity: empty members are as the launch template says.
struct Ec2Pool {
  std::string instance_type, subnet, zone;
  bool operator==(const Ec2Pool&) const = default;
};

/// Types times subnets (or zones), in the order in which they are tried; at least one.
std::vector<Ec2Pool> pools_of(const Ec2FleetOptions& options);

/// "1,3-5": increasing numbers.
std::string to_app_tiers(const std::vector<int>& numbers);
/// 3 for the index 1 of "1,3-5".
std::optional<int> app_tier_number(std::string_view app_tiers, int index);

struct Ec2Launch {
  LaunchToken token;
  std::vector<int> numbers;  // of the app tier: one instance each
  WallTime at{};
  bool tags_in_metadata = true;
  int attempt = 0;  // counts refusals: EC2 may remember a refused ClientToken
};

/// One call of RunInstances, so that another process can make the very same one: LaunchRequest::plan.
std::string to_plan(const Ec2Launch& launch, const Ec2Pool& pool);
/// Nothing for what to_plan() does not write.
std::optional<std::pair<Ec2Launch, Ec2Pool>> parse_plan(std::string_view plan, const LaunchToken& token);

/// 64 ASCII characters (EC2's limit); the same for the same launch of the fleet into the same pool.
std::string client_token(const Ec2FleetOptions& options, const Ec2Pool& pool, const Ec2Launch& launch);

/// EC2 refuses to show tags in the metadata of an instance whose launch template has a tag with a blank or a slash in
/// its key.
bool refuses_tags_in_metadata(const CallFailure& failure);

QueryPairs run_parameters(const Ec2FleetOptions& options, const Ec2Pool& pool, const Ec2Launch& launch);

/// Errors: invalid "bad_fleet".
Result<void> check_options(const Ec2FleetOptions& options);

}  // namespace imgrec::aws
