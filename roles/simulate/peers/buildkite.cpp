// Buildkite's agent scaler as its Elastic CI Stack runs it.
//
// https://github.com/buildkite/buildkite-agent-scaler: every 10 s, desired = ceil((scheduled + running jobs) / agents
// per instance); a change outwards is multiplied by ScaleOutFactor (1) and rounded up. It does not scale in
// (DISABLE_SCALE_IN): an instance ends itself when its agents were idle for ScaleInIdlePeriod (600 s,
// https://github.com/buildkite/elastic-ci-stack-for-aws).
#include <cmath>

#include "roles/simulate/peers/peer.hpp"
#include "roles/simulate/peers/peer_scaler.hpp"

namespace imgrec::simulate {
namespace {

constexpr Span kPoll = std::chrono::seconds(10);

class Buildkite final : public PeerScaler {
 public:
  Buildkite(const KnobValues& knobs, const PeerPlace& place)
      : PeerScaler(kPoll, 0, place.machines_max),
        slots_(place.kind.slots),
        idle_period_(from_seconds(knobs[0])),
        out_factor_(knobs[1]) {}

  /// When each instance became idle is what its own agents know.
  bool reads_signals() const override { return true; }

 protected:
  int wanted(const Observation& observation) override {
    const auto jobs = static_cast<double>(observation.depth.visible + observation.depth.in_flight);
    const int desired = static_cast<int>(std::min<double>(std::ceil(jobs / slots_), max()));
    const int here = count_active(observation.instances);
    explain(std::to_string(static_cast<long long>(jobs)) + " jobs need " + std::to_string(desired) + " instances");
    if (desired > here) return here + static_cast<int>(std::ceil((desired - here) * out_factor_));
    const auto idle = std::ranges::count_if(observation.signals.instances, [&](const InstanceSignals& instance) {
      return instance.idle_since && observation.at - *instance.idle_since >= idle_period_;
    });
    return here - static_cast<int>(idle);
  }

 private:
  const int slots_;
  const Span idle_period_;
  const double out_factor_;
};

}  // namespace

Peer buildkite_peer() {
  return {
      .name = "buildkite",
      .summary = "Buildkite's agent scaler: one agent per job, idle instances end themselves",
      .knobs = {{"ScaleInIdlePeriod", 600, {30, 60, 120, 300, 600}}, {"ScaleOutFactor", 1, {0.05, 0.1, 0.25, 0.5, 1}}},
      .make = [](const KnobValues& knobs, const PeerPlace& place) -> ScalerFactory {
        return [knobs, place] { return std::make_unique<Buildkite>(knobs, place); };
      }};
}

}  // namespace imgrec::simulate
