#include "roles/controller/policy/arrivals.hpp"

#include <algorithm>
#include <numbers>
#include <numeric>
#include <utility>

namespace imgrec {
namespace {

constexpr Seconds kHalfMinute{30};
constexpr Seconds kShort{10}, kLong{300};
constexpr double kEnough = 30;  // images in a short window, for its rate to say something: within 18 % by chance
constexpr std::size_t kGapsMax = 20;
constexpr std::size_t kGapsMin = 2;
// Were the gaps exponential, 1 % would be longer than so many times their mean.
constexpr double kPatienceFactor = 4.5;

double seconds_between(MonoTime from, MonoTime to) {
  return std::chrono::duration<double>(to - from).count();
}

double to_s(Seconds time) {
  return static_cast<double>(time.count());
}

}  // namespace

// What came between two looks is taken to have come at the later one: of a burst it is not known better.
double Arrivals::arrived_by(MonoTime at) const {
  for (std::size_t i = samples_.size(); i-- > 0;) {
    if (samples_[i].at <= at) return samples_[i].arrived;
  }
  return samples_.empty() ? 0 : samples_.front().arrived;
}

double Arrivals::rate_between(MonoTime from, MonoTime to) const {
  return std::max(0.0, arrived_by(to) - arrived_by(from)) / seconds_between(from, to);
}

// May be negative for once: sums over a window count.
double Arrivals::counted_since_last(const Observation& observation, int ready, double image_s, bool after_gap) {
  const auto messages = static_cast<double>(count_messages(observation.depth));
  const double busy = std::min<double>(ready, static_cast<double>(observation.depth.in_flight));
  double arrived = 0;
  if (!samples_.empty() && !after_gap) {
    const double span_s = seconds_between(samples_.back().at, observation.at);
    arrived = messages - messages_ + (busy + busy_) / 2 / image_s * span_s;
  }
  messages_ = messages;
  busy_ = busy;
  return arrived;
}

// The half minute that ends now differs from the one that ended at the look before by what came since, and by what has
// left it at its other end.
double Arrivals::told_since_last(const Observation& observation) {
  const double in_window = *observation.signals.arrivals_per_s * to_s(kHalfMinute);
  const MonoTime begin = observation.at - kHalfMinute;
  if (samples_.empty() || begin >= samples_.back().at) return in_window;
  return in_window - (samples_.back().arrived - arrived_by(begin));
}

// The first look: what the signals tell of the half minute before has come evenly when more came before that, and just
// now when it is all there was.
void Arrivals::begin(const Observation& observation, double& since_last) {
  const double before = observation.signals.arrivals_per_s_long.value_or(0) * to_s(kLong) - since_last;
  const bool goes_on = before > since_last / 2;
  const double each = goes_on ? since_last / to_s(kHalfMinute) : 0;
  for (Seconds ago = kHalfMinute; ago > Seconds(0); --ago) {
    samples_.push_back({.at = observation.at - ago, .arrived = samples_.empty() ? 0 : samples_.back().arrived + each});
  }
  if (goes_on) since_last = each;
}

ArrivalRate Arrivals::observe(const Observation& observation, int ready, double image_s, bool after_gap) {
  const bool told = observation.signals.arrivals_per_s.has_value();
  // Both are kept up to date; a change from one to the other begins anew, as the two need not agree.
  const double counted = counted_since_last(observation, ready, image_s, after_gap);
  if (told != std::exchange(told_, told)) samples_.clear();
  double since_last = told ? told_since_last(observation) : counted;
  if (samples_.empty()) begin(observation, since_last);
  samples_.push_back({.at = observation.at, .arrived = samples_.back().arrived + since_last});
  while (samples_.size() > 2 && samples_[1].at <= observation.at - 4 * kHalfMinute) samples_.pop_front();

  const MonoTime now = observation.at;
  const double latest = rate_between(now - kHalfMinute, now);
  const double earlier = rate_between(now - 2 * kHalfMinute, now - kHalfMinute);
  const double long_before = rate_between(now - 3 * kHalfMinute, now - 2 * kHalfMinute);
  const double quick = std::min(rate_between(now - kShort, now), rate_between(now - 2 * kShort, now - kShort));
  const bool enough = quick * to_s(kShort) >= kEnough;
  const double growth = std::min(latest - earlier, earlier - long_before) / to_s(kHalfMinute);
  return {.low = enough ? quick : std::min(latest, earlier),
          .high = std::max(latest, earlier),
          .growth = std::max(0.0, growth)};
}

void Gaps::observe(const Observation& observation, bool messages_seen) {
  if (!messages_seen) return;
  if (last_seen_ && observation.at - *last_seen_ > kQuiet) {
    gaps_.push_back(std::chrono::duration_cast<Millis>(observation.at - *last_seen_));
    if (gaps_.size() > kGapsMax) gaps_.pop_front();
  }
  last_seen_ = observation.at;
}

std::optional<MonoTime> Gaps::last_arrival(const Observation& observation) const {
  return observation.signals.last_arrival ? observation.signals.last_arrival : last_seen_;
}

Millis Gaps::patience(const Observation& observation, const ScalingRules& rules) const {
  std::vector<Millis> gaps = observation.signals.quiet_gaps;
  if (gaps.empty()) gaps.assign(gaps_.begin(), gaps_.end());
  if (gaps.size() > kGapsMax) gaps.erase(gaps.begin(), gaps.end() - static_cast<std::ptrdiff_t>(kGapsMax));
  if (gaps.size() < kGapsMin) return Millis(0);
  const Millis mean = std::accumulate(gaps.begin(), gaps.end(), Millis(0)) / static_cast<std::int64_t>(gaps.size());
  // Of exponential gaps half are longer than their mean times ln 2.
  if (std::chrono::duration<double>(mean) * std::numbers::ln2 > rules.keep_alive) return Millis(0);
  return std::chrono::duration_cast<Millis>(kPatienceFactor * mean);
}

}  // namespace imgrec
