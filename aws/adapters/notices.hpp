// What the metadata of an instance say when it is about to be taken away: a Spot notice, a recommendation to rebalance
// (a Spot instance that is likely to get one), and the end that its Auto Scaling group has decided on.
#pragma once

#include <functional>
#include <stop_token>

#include "aws/client/imds.hpp"

namespace imgrec::aws {

/// Polls every 5 s until there is one or a stop is requested; calls on_notice once, with what is to happen:
/// "terminate", "stop" or "hibernate" (Spot, within two minutes), "rebalance", "terminated by its Auto Scaling group"
/// (a lifecycle hook or a warm-up gives time for it). Blocks: give it a thread of its own. A metadata service that
/// cannot be reached is asked again.
/// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
/// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/rebalance-recommendations.html
/// https://docs.aws.amazon.com/autoscaling/ec2/userguide/retrieving-target-lifecycle-state-through-imds.html
void watch_for_notices(Imds& imds, Clock& clock, const std::function<void(const std::string& action)>& on_notice,
                       std::stop_token stop);

}  // namespace imgrec::aws
