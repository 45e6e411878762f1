// How many images arrive, told apart from how many arrived once: for the policy `slo`.
#pragma once

#include <deque>
#include <optional>

#include "roles/controller/policy/policy.hpp"

namespace imgrec {

/// Images per second. A burst is no rate: what arrived in one half minute alone is in `high`, not in `low`.
struct ArrivalRate {
  double low = 0;     // seen in two half minutes in a row: enough to launch for
  double high = 0;    // seen in one of them: what has to be gone before instances are let go
  double growth = 0;  // per second, seen twice in a row as well; never negative
};

/// Remembers the rate of the last minute and a half. Without signals the rate is what the counts leave no other
/// explanation for: the growth of the queue, and what busy instances have worked off meanwhile.
class Arrivals {
 public:
  /// `ready`: instances that can take work; `image_s`: seconds of a busy one per image. After a gap nothing is
  /// concluded from the counts.
  ArrivalRate observe(const Observation& observation, int ready, double image_s, bool after_gap);

 private:
  struct Sample {
    MonoTime at{};
    double value = 0;
  };
  double from_counts(const Observation& observation, int ready, double image_s, bool after_gap);

  std::deque<Sample> rates_;    // means over about the half minute before; oldest first
  std::deque<Sample> arrived_;  // images since the beginning, by the counts; oldest first
  double messages_ = 0;         // at the latest of these
  double busy_ = 0;
};

/// Gaps between arrivals: whether the next image is worth waiting for.
class Gaps {
 public:
  void observe(const Observation& observation, bool messages_seen);
  /// How long after the latest arrival the next one is still expected; 0: nothing is known, or the gaps so far were
  /// longer than keep_alive too often.
  Millis patience(const Observation& observation, const ScalingRules& rules) const;
  std::optional<MonoTime> last_arrival(const Observation& observation) const;

 private:
  std::deque<Millis> gaps_;  // as seen from the counts, latest last
  std::optional<MonoTime> last_seen_;
};

}  // namespace imgrec
