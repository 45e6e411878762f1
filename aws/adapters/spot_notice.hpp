// EC2 takes a Spot instance back with two minutes' notice, which instance metadata shows.
#pragma once

#include <functional>
#include <stop_token>

#include "aws/client/imds.hpp"

namespace imgrec::aws {

/// Polls until a notice is there or a stop is requested; calls on_notice once, with the action ("terminate", "stop",
/// "hibernate"). Blocks: give it a thread of its own. A metadata service that cannot be reached is asked again.
/// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
void watch_spot_notice(Imds& imds, Clock& clock, const std::function<void(const std::string& action)>& on_notice,
                       std::stop_token stop);

}  // namespace imgrec::aws
