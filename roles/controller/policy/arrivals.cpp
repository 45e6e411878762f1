#include "roles/controller/policy/arrivals.hpp"

#include <algorithm>
#include <cmath>

namespace imgrec {
namespace {

constexpr Seconds kHalfMinute{30};
constexpr std::size_t kGapsMax = 8;
constexpr double kOften = 0.7;  // of the gaps have to be within keep_alive
constexpr int kPatienceFactor = 2;

double seconds_between(MonoTime from, MonoTime to) {
  return std::chrono::duration<double>(to - from).count();
}

double to_s(Seconds time) {
  return static_cast<double>(time.count());
}

}  // namespace

double Arrivals::from_counts(const Observation& observation, int ready, double image_s, bool after_gap) {
  const auto messages = static_cast<double>(count_messages(observation.depth));
  const double busy = std::min<double>(ready, static_cast<double>(observation.depth.in_flight));
  double arrived = arrived_.empty() ? 0 : arrived_.back().value;
  if (!arrived_.empty() && !after_gap) {
    const double span_s = seconds_between(arrived_.back().at, observation.at);
    // May be negative for once: the sum over the half minute counts.
    arrived += messages - messages_ + (busy + busy_) / 2 / image_s * span_s;
  }
  messages_ = messages;
  busy_ = busy;
  arrived_.push_back({.at = observation.at, .value = arrived});
  while (arrived_.size() > 2 && arrived_[1].at <= observation.at - kHalfMinute) arrived_.pop_front();
  const double span_s = seconds_between(arrived_.front().at, observation.at);
  return std::max(0.0, (arrived - arrived_.front().value) / std::max(span_s, to_s(kHalfMinute)));
}

ArrivalRate Arrivals::observe(const Observation& observation, int ready, double image_s, bool after_gap) {
  const double counted = from_counts(observation, ready, image_s, after_gap);
  const double now = observation.signals.arrivals_per_s.value_or(counted);
  const auto value_at = [&](MonoTime at) {
    double value = 0;
    for (const Sample& sample : rates_) {
      if (sample.at > at) break;
      value = sample.value;
    }
    return value;
  };
  rates_.push_back({.at = observation.at, .value = now});
  while (rates_.size() > 1 && rates_[1].at <= observation.at - 2 * kHalfMinute) rates_.pop_front();
  const double before = value_at(observation.at - kHalfMinute);
  const double long_before = value_at(observation.at - 2 * kHalfMinute);
  const double growth = std::min(now - before, before - long_before) / to_s(kHalfMinute);
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
