// An EC2 Auto Scaling Group that tracks its backlog per instance.
//
// https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-using-sqs-queue.html: backlog per instance =
// ApproximateNumberOfMessages / instances in service; the target is the wanted waiting time divided by the time per
// message. The group has one instance at the least, since the metric does not exist without any. The default cooldown
// and warm-up are 300 s.
#include "roles/simulate/peers/peer.hpp"
#include "roles/simulate/peers/target_tracking.hpp"

namespace imgrec::simulate {
namespace {

class AutoScalingGroup final : public PeerScaler {
 public:
  AutoScalingGroup(const KnobValues& knobs, const PeerPlace& place)
      : PeerScaler(kDatapoint, 1, place.machines_max),
        tracking_(std::max(1.0, knobs[0] * place.wanted_wait_s * place.kind.images_per_s()), from_seconds(knobs[1])) {}

 protected:
  int wanted(const Observation& observation) override {
    const auto backlog = static_cast<double>(observation.depth.visible);
    explain(std::to_string(observation.depth.visible) + " messages for " + std::to_string(capacity_) + " instances");
    capacity_ = std::clamp(tracking_.wanted(backlog, capacity_, observation.at), min(), max());
    return capacity_;
  }

 private:
  TargetTracking tracking_;
  int capacity_ = 1;
};

}  // namespace

Peer asg_peer() {
  return {
      .name = "asg-tracking",
      .summary = "an Auto Scaling Group that tracks its backlog per instance, after AWS's recipe",
      .knobs = {{"part of the acceptable backlog", 1, {0.05, 0.1, 0.25, 0.5, 1, 2}}, {"cooldown", 300, {0, 60, 300}}},
      .make = [](const KnobValues& knobs, const PeerPlace& place) -> ScalerFactory {
        return [knobs, place] { return std::make_unique<AutoScalingGroup>(knobs, place); };
      }};
}

}  // namespace imgrec::simulate
