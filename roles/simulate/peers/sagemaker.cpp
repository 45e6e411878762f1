// Amazon SageMaker asynchronous inference with the policies of its guide.
//
// https://docs.aws.amazon.com/sagemaker/latest/dg/async-inference-autoscale.html: 0 instances at the least; target
// tracking on ApproximateBacklogSizePerInstance with a target of 5, 600 s between steps in, 300 s between steps out;
// and, for zero instances, a step policy of one instance on HasBacklogWithoutCapacity in 2 of 2 datapoints of a minute.
// Instances of SageMaker cost more than those of EC2 and take minutes to boot: here they are like all others.
#include "roles/simulate/peers/peer.hpp"
#include "roles/simulate/peers/target_tracking.hpp"

namespace imgrec::simulate {
namespace {

class SageMaker final : public PeerScaler {
 public:
  SageMaker(const KnobValues& knobs, const PeerPlace& place)
      : PeerScaler(kDatapoint, 0, place.machines_max),
        tracking_(knobs[0], from_seconds(knobs[1])),
        without_capacity_(static_cast<int>(knobs[2])) {}

 protected:
  int wanted(const Observation& observation) override {
    const auto backlog = static_cast<double>(observation.depth.visible + observation.depth.in_flight);
    explain(std::to_string(static_cast<long long>(backlog)) + " in the backlog of " + std::to_string(capacity_) +
            " instances");
    if (capacity_ == 0) {
      if (without_capacity_.add(backlog > 0)) capacity_ = 1;
    } else {
      without_capacity_.clear();
      capacity_ = std::min(tracking_.wanted(backlog, capacity_, observation.at), max());
    }
    return capacity_;
  }

 private:
  TargetTracking tracking_;
  DatapointsInARow without_capacity_;
  int capacity_ = 0;
};

}  // namespace

Peer sagemaker_peer() {
  return {.name = "sagemaker",
          .summary = "SageMaker asynchronous inference: target tracking on its backlog, and a step from zero",
          .knobs = {{"TargetValue", 5, {1, 2, 5, 10, 20, 50, 200, 1'000, 5'000}},
                    {"ScaleInCooldown", 600, {0, 60, 300, 600}},
                    {"EvaluationPeriods", 2, {1, 2}}},
          .make = [](const KnobValues& knobs, const PeerPlace& place) -> ScalerFactory {
            return [knobs, place] { return std::make_unique<SageMaker>(knobs, place); };
          }};
}

}  // namespace imgrec::simulate
