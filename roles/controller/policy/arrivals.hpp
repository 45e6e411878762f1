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

/// Remembers the rate of the last minute and a half. Without signals the rate is what the counts and the instances'
/// speed leave no other explanation for: growth of the queue plus what was worked off meanwhile.
class Arrivals {
 public:
  /// `work_rate`: images per second that the ready machines can do. After a gap nothing is concluded from the counts.
  ArrivalRate observe(const Observation& observation, double work_rate, bool after_gap);

 private:
  struct Sample {
    MonoTime at{};
    double per_s = 0;  // mean over about the half minute before
  };
  double from_counts(const Observation& observation, double work_rate, bool after_gap);
  double at_or_before(MonoTime at) const;

  std::deque<Sample> samples_;  // oldest first; at most one per kSpacing
  std::optional<MonoTime> counted_at_;
  double messages_ = 0;
  double smooth_per_s_ = 0;
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
