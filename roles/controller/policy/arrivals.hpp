// How many images arrive, told apart from how many arrived once: for the policy `slo`.
#pragma once

#include <deque>
#include <optional>

#include "roles/controller/policy/policy.hpp"

namespace imgrec {

/// Images per second. A burst is no rate: what arrived in one window alone is in `high`, not in `low`. A window is
/// five or ten seconds long where enough arrive in it, else half a minute.
struct ArrivalRate {
  double low = 0;     // seen in two windows in a row: enough to launch for
  double high = 0;    // seen in one of them, of half a minute each: what has to be gone before instances are let go
  double growth = 0;  // per second, seen in three half minutes in a row; never negative
};

/// Remembers how many images arrived by when, for two minutes. Signals tell it. Without signals it is what the counts
/// leave no other explanation for: the growth of the queue, and what busy instances have worked off meanwhile.
class Arrivals {
 public:
  /// `ready`: instances that can take work; `image_s`: seconds of a busy one per image. After a gap nothing is
  /// concluded from the counts.
  ArrivalRate observe(const Observation& observation, int ready, double image_s, bool after_gap);

 private:
  struct Sample {
    MonoTime at{};
    double arrived = 0;  // images since the beginning
  };
  double counted_since_last(const Observation& observation, int ready, double image_s, bool after_gap);
  void begin(const Signals& signals, const Sample& first);
  void add_told(const Observation& observation);
  double arrived_by(MonoTime at) const;
  double rate_between(MonoTime from, MonoTime to) const;
  double lower_rate(Seconds span) const;

  std::deque<Sample> samples_;  // oldest first
  double messages_ = 0;         // at the latest sample
  double busy_ = 0;
  bool told_ = false;  // the latest sample was told by signals
};

/// Gaps between arrivals: whether the next image is worth waiting for.
class Gaps {
 public:
  void observe(const Observation& observation, bool messages_seen);
  /// How long after the latest arrival the next one is still expected: until the silence fits the gaps so far no more.
  /// 0: too little is known, or the next one is likelier than not to
  /// come later than keep_alive after the latest.
  Millis longest_expected(const Observation& observation, const ScalingRules& rules) const;
  std::optional<MonoTime> last_arrival(const Observation& observation) const;

 private:
  std::deque<Millis> gaps_;  // as seen from the counts, latest last
  std::optional<MonoTime> last_seen_;
};

}  // namespace imgrec
