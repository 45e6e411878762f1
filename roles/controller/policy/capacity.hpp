// What the policies that predict (backlog, slo) know about machines: how quick they are and when they will work.
#pragma once

#include <optional>
#include <vector>

#include "roles/controller/policy/policy.hpp"

namespace imgrec {

/// The machines of an observation. Those asked to stop are not in it.
struct Capacity {
  int ready = 0;                    // can take work now
  std::vector<double> boot_left_s;  // of each that still boots: expected seconds until it is ready
  int stuck = 0;                    // ought to have been ready long ago: no capacity is expected of them
  int busy = 0;                     // what those ready do, in instances that do nothing else
  int billed_anyway = 0;            // of all: would be billed for billed_min even if they ended now
};

/// `messages`: visible and in flight; without signals of the instances, so many are taken to be busy.
Capacity find_capacity(const Observation& observation, const ScalingRules& rules, double messages);

/// How long one busy instance takes per image: as signals say; else as the fall of the backlog shows while messages
/// wait; else as the settings assume. Arrivals during such a fall make instances look slower than they are, so the
/// quickest fall of the last hour counts; what is left of it errs on the side of more instances.
class ImageTime {
 public:
  /// `ready`: machines that can take work.
  void observe(const Observation& observation, int ready, bool after_gap);
  double seconds(const Observation& observation, const ScalingRules& rules) const;

 private:
  struct Fall {  // of the backlog, since it began while messages were waiting
    MonoTime at{};
    double messages_then = 0, machine_seconds = 0;
    int ready = 0;
  };
  std::optional<Fall> fall_;
  std::optional<double> seen_s_;  // the least that a fall of the last hour left possible
  std::optional<MonoTime> seen_at_;
};

}  // namespace imgrec
