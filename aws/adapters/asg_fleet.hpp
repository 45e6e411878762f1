// Worker machines of an EC2 Auto Scaling group; semantics as in lib/ports/fleet.hpp, but for what a group does by
// itself.
//
// Size      a group is told a number, not launches: SetDesiredCapacity, which is the same however often it is said.
// What
//           it was told and has not launched yet is described as pending, with ids of this fleet's own
//           ("NAME/pending-1"): terminating one of those lowers the number.
// Ends      TerminateInstanceInAutoScalingGroup, which names the instance and lowers the number with it. The group must
//           end nobody by itself, as it does not know who is busy: its new instances have to be protected from
//           scale-in, which stays so. Protection does not keep this fleet from ending them.
// Replaced  an instance that ends by itself is replaced by the group.
// Identity  all instances of the group are ours. Their App Tier ID is their instance id: a group gives no numbers.
// Template  image, types, subnets, Spot and user-data are the group's; the user-data is `imgrec user-data worker`.
#pragma once

#include <memory>
#include <string>

#include "aws/client/session.hpp"
#include "lib/ports/fleet.hpp"

namespace imgrec::aws {

struct AsgFleetOptions {
  std::string group;
  int instances_max = 1;
  Millis call_deadline{60'000};
  Millis appear_max{15'000};  // a launch waits so long for the group to name the new instances
};

/// Makes no call. Errors: invalid "bad_fleet".
Result<std::unique_ptr<Fleet>> make_asg_fleet(Session& session, AsgFleetOptions options);

}  // namespace imgrec::aws
