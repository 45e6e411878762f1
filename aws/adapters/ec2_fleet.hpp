// Worker machines on Amazon EC2; semantics as in lib/ports/fleet.hpp.
//
// Identity  the fleet's instances are those tagged imgrec:fleet=NAME: any process may describe or end what another
//           launched. app_tier_id comes from the tag imgrec:app-tiers (one per launch: "1,3-5") and the instance's
//           launch index, so it is there from the first moment on, without a second call.
// Tokens    one RunInstances carries a ClientToken made of the LaunchToken and the pool, and the tag imgrec:launch with
//           the LaunchToken. A token whose instances can be described launches nothing more, also after a restart; one
//           of this process is sent again with the very same request.
// Lag       EC2 shows instances some seconds after it launched them. Those of this process are described as pending
//           meanwhile (for up to `appear_max`), so nobody launches twice.
// Instances IMDSv2 only, shut-down terminates, root volume and type as configured, tags in the same call.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "aws/client/session.hpp"
#include "lib/ports/fleet.hpp"

namespace imgrec::aws {

/// EC2 takes 16 KiB; a launch adds a line with its app tiers.
inline constexpr std::size_t kUserDataBytesMax = 16 * 1024 - 300;

struct Ec2FleetOptions {
  std::string name = "imgrec";               // of the fleet: tag imgrec:fleet
  std::string launch_template;               // id (lt-…) or name; what is set below overrides it
  std::string template_version;              // number, "$Latest" or "$Default" (also when empty)
  std::string image_id;                      // ami-…; needed without a launch template
  std::vector<std::string> instance_types;   // tried in turn; needed without a launch template
  std::vector<std::string> subnets;          // ids, tried in turn; each is in one zone
  std::vector<std::string> zones;            // tried in turn, in the default VPC; only without subnets
  std::vector<std::string> security_groups;  // ids (sg-…)
  std::string instance_profile;              // name, or its ARN
  std::string key_name;                      // for ssh; empty: none
  std::string user_data;                     // at most kUserDataBytesMax; a line is added: "# imgrec:app-tiers=1,3-5"
  std::map<std::string, std::string> tags;   // added to instances and volumes
  bool spot = false;
  int instances_max = 1;  // 1 to 1000
  Millis call_deadline{60'000};
  Millis appear_max{120'000};
  Millis pool_pause_min{30'000};  // a pool without capacity is left alone so long; doubled each time it is so again
  Millis pool_pause_max{900'000};
};

/// Makes no call. Errors: invalid "bad_fleet" naming what is missing or wrong.
Result<std::unique_ptr<Fleet>> make_ec2_fleet(Session& session, Ec2FleetOptions options);

/// "app-tier-3" for the launch index 1 of the tag "1,3-5"; empty when the tag does not reach so far, or is none.
/// An instance reads its launch index from its metadata (ami-launch-index), and the app tiers from the line that ends
/// its user-data. Without user-data of ours (a launch template has it) the tag is shown in the metadata, unless the
/// template has other tags that cannot be there.
std::string app_tier_id_of(std::string_view app_tiers, int launch_index);

}  // namespace imgrec::aws
