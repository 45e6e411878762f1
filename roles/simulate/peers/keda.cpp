// KEDA's aws-sqs-queue scaler, the HorizontalPodAutoscaler that it feeds, and a node autoscaler; one pod a node.
//
// https://keda.sh/docs/latest/scalers/aws-sqs/: queueLength 5; messages = visible + not visible (scaleOnInFlight).
// https://keda.sh/docs/latest/reference/scaledobject-spec/: pollingInterval 30 s (from zero), cooldownPeriod 300 s (to
// zero, after the last time that the trigger was active).
// https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/: every 15 s, desired = ceil(messages /
// queueLength), nothing within a tolerance of 0.1; up by the higher of 4 pods and 100 % in 15 s; down to the highest
// recommendation of the last 300 s.
// https://github.com/kubernetes/autoscaler/blob/master/cluster-autoscaler/FAQ.md: a node goes when it was not needed
// for 10 minutes (scale-down-unneeded-time). That a pod needs a node is seen at once here, not at the next scan (10 s),
// and a node that waits for its end still works: both in the peer's favour.
#include <cmath>

#include "roles/simulate/peers/peer.hpp"
#include "roles/simulate/peers/peer_scaler.hpp"

namespace imgrec::simulate {
namespace {

constexpr Span kSync = std::chrono::seconds(15);
constexpr double kTolerance = 0.1;
constexpr int kPodsUp = 4;

class Keda final : public PeerScaler {
 public:
  Keda(const KnobValues& knobs, const PeerPlace& place)
      : PeerScaler(kSync, 0, place.machines_max),
        queue_length_(knobs[0]),
        polling_(from_seconds(knobs[1])),
        cooldown_(from_seconds(knobs[2])),
        recommended_(from_seconds(knobs[3])),
        nodes_(from_seconds(knobs[4])) {}

 protected:
  int wanted(const Observation& observation) override {
    const auto messages = static_cast<double>(observation.depth.visible + observation.depth.in_flight);
    pods_ = pods(messages, observation.at);
    const int nodes = nodes_.record(observation.at, pods_);
    explain(std::to_string(static_cast<long long>(messages)) + " messages: " + std::to_string(pods_) +
            " pods; nodes stay for a while");
    return nodes;
  }

 private:
  int pods(double messages, MonoTime now) {
    if (messages > 0) active_at_ = now;
    if (pods_ == 0) {
      if (messages == 0 || now < next_poll_) return 0;
      next_poll_ = now + polling_;
      recommended_.record(now, 1);
      return 1;  // from here on the HPA scales
    }
    const double per_target = messages / queue_length_;
    int desired = static_cast<int>(std::min<double>(std::ceil(per_target), max()));
    if (std::abs(per_target / pods_ - 1) <= kTolerance) desired = pods_;
    const int up = std::max(pods_ + kPodsUp, 2 * pods_);
    const int stable = recommended_.record(now, std::max(desired, 1));
    if (desired > pods_) return std::min(desired, up);
    if (messages == 0 && now - active_at_ >= cooldown_) return 0;
    return std::min(pods_, std::max(stable, 1));
  }

  const double queue_length_;
  const Span polling_, cooldown_;
  HighestWithin recommended_;
  HighestWithin nodes_;
  int pods_ = 0;
  MonoTime active_at_ = kBegin, next_poll_ = kBegin;
};

}  // namespace

Peer keda_peer() {
  return {.name = "keda",
          .summary = "KEDA's aws-sqs-queue with the HPA and a node autoscaler",
          .knobs = {{"queueLength", 5, {1, 5, 20, 100, 1'000, 5'000}},
                    {"pollingInterval", 30, {15, 30}},
                    {"cooldownPeriod", 300, {30, 300}},
                    {"stabilizationWindowSeconds", 300, {0, 60, 300}},
                    {"scale-down-unneeded-time", 600, {60, 600}}},
          .make = [](const KnobValues& knobs, const PeerPlace& place) -> ScalerFactory {
            return [knobs, place] { return std::make_unique<Keda>(knobs, place); };
          }};
}

}  // namespace imgrec::simulate
