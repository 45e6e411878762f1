// Target tracking on a backlog per instance, as Application Auto Scaling and EC2 Auto Scaling do it. Private to this
// folder.
//
// https://docs.aws.amazon.com/autoscaling/application/userguide/target-tracking-scaling-policy-overview.html and
// https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-scaling-target-tracking.html: two CloudWatch alarms over
// datapoints of a minute. Above the target in 3 of 3: out to what brings the metric to the target, rounded up. Below 90
// % of it in 15 of 15: in, to the same, also rounded up. Cooldowns: after going in, the next step in waits; going out
// is allowed while it asks for more than there is on the way.
#pragma once

#include <cmath>

#include "roles/simulate/peers/peer_scaler.hpp"

namespace imgrec::simulate {

class TargetTracking {
 public:
  TargetTracking(double target, Span cooldown_in) : target_(target), cooldown_in_(cooldown_in) {}

  /// Called once a minute. backlog: messages now; capacity: instances wanted now, 1 or more.
  int wanted(double backlog, int capacity, MonoTime now) {
    const double metric = backlog / capacity;
    const bool high = high_.add(metric > target_);
    const bool low = low_.add(metric < kLowShare * target_);
    const int to_target = static_cast<int>(std::min(std::ceil(backlog / target_), 1e6));
    if (high && to_target > capacity) {
      may_go_in_ = now + cooldown_in_;
      return to_target;
    }
    if (low && to_target < capacity && now >= may_go_in_) {
      may_go_in_ = now + cooldown_in_;
      return to_target;
    }
    return capacity;
  }

 private:
  static constexpr double kLowShare = 0.9;
  const double target_;
  const Span cooldown_in_;
  DatapointsInARow high_{3}, low_{15};
  MonoTime may_go_in_ = kBegin;
};

constexpr Span kDatapoint = std::chrono::minutes(1);

}  // namespace imgrec::simulate
