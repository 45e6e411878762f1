// The part of imgrec doctor that asks EC2.
#pragma once

#include <vector>

#include "aws/client/session.hpp"
#include "cmd/commands/doctor.hpp"
#include "lib/config/config.hpp"

namespace imgrec {

/// Of an Auto Scaling group: it is there, its sizes are those of the controller, and it ends no busy instance. Else:
/// image, types, network, instance profile and launch template are there; the quota is enough; a launch is allowed (dry
/// run: nothing is started).
void check_ec2(const Config& config, aws::Session& session, std::vector<Check>& checks);

}  // namespace imgrec
