#include "roles/controller/policy/arrivals.hpp"

#include <algorithm>
#include <cmath>

namespace imgrec {
namespace {

constexpr Seconds kHalfMinute{30};
constexpr Seconds kSpacing{1};  // of samples; more often than that nothing new is seen
constexpr std::size_t kGapsMax = 8;
constexpr double kOften = 0.7;  // of the gaps have to be within keep_alive
constexpr int kPatienceFactor = 2;

double seconds_between(MonoTime from, MonoTime to) {
  return std::chrono::duration<double>(to - from).count();
}

}  // namespace

double Arrivals::from_counts(const Observation& observation, double work_rate, bool after_gap) {
  const auto messages = static_cast<double>(count_messages(observation.depth));
  const double span_s = counted_at_ ? seconds_between(*counted_at_, observation.at) : 0;
  if (span_s > 0 && !after_gap) {
    const double worked_off = std::min(work_rate * span_s, messages_);
    const double arrived = std::max(0.0, messages - messages_ + worked_off);
    // An exponential mean over half a minute.
    const double weight = 1 - std::exp(-span_s / std::chrono::duration<double>(kHalfMinute).count());
    smooth_per_s_ += weight * (arrived / span_s - smooth_per_s_);
  }
  counted_at_ = observation.at;
  messages_ = messages;
  return smooth_per_s_;
}

double Arrivals::at_or_before(MonoTime at) const {
  double per_s = 0;
  for (const Sample& sample : samples_) {
    if (sample.at > at) break;
    per_s = sample.per_s;
  }
  return per_s;
}

ArrivalRate Arrivals::observe(const Observation& observation, double work_rate, bool after_gap) {
  const double counted = from_counts(observation, work_rate, after_gap);
  const double now = observation.signals.arrivals_per_s.value_or(counted);
  if (samples_.empty() || observation.at - samples_.back().at >= kSpacing) {
    samples_.push_back({.at = observation.at, .per_s = now});
  }
  while (samples_.size() > 1 && samples_[1].at <= observation.at - 3 * kHalfMinute) samples_.pop_front();
  const double before = at_or_before(observation.at - kHalfMinute);
  const double long_before = at_or_before(observation.at - 2 * kHalfMinute);
  const double growth =
      std::min(now - before, before - long_before) / std::chrono::duration<double>(kHalfMinute).count();
  return {.low = std::min(now, before), .high = std::max(now, before), .growth = std::max(0.0, growth)};
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
  if (gaps.empty()) return Millis(0);
  std::ranges::sort(gaps);
  const auto short_ones = std::ranges::upper_bound(gaps, rules.keep_alive) - gaps.begin();
  if (static_cast<double>(short_ones) < kOften * static_cast<double>(gaps.size())) return Millis(0);
  return std::min(rules.keep_alive, kPatienceFactor * gaps[static_cast<std::size_t>(short_ones - 1)]);
}

}  // namespace imgrec
