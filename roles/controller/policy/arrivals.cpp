#include "roles/controller/policy/arrivals.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numbers>
#include <numeric>
#include <utility>

namespace imgrec {
namespace {

constexpr Seconds kHalfMinute{30};
constexpr Seconds kLong{300}, kJustNow{1}, kStep{5};
constexpr Seconds kUneven{1};  // signals that are sent every five seconds come now a little sooner, now later
constexpr Seconds kShortTold{5}, kShortCounted{10};  // the counts come late, and are approximate
constexpr double kSure = 2;     // standard deviations of a count that is a Poisson process: by chance in 1 of 40
constexpr double kEnough = 30;  // images in a short window, for its rate to say something: within 18 % by chance
constexpr std::size_t kGapsMax = 20;
constexpr std::size_t kGapsMin = 2;
// Were the gaps exponential, 1 % would be longer than so many times their mean.
constexpr double kLongestExpectedFactor = 4.5;

double seconds_between(MonoTime from, MonoTime to) {
  return std::chrono::duration<double>(to - from).count();
}

}  // namespace

// What came between two samples is taken to have come evenly.
double Arrivals::arrived_by(MonoTime at) const {
  if (samples_.empty()) return 0;
  if (at >= samples_.back().at) return samples_.back().arrived;
  if (at <= samples_.front().at) return samples_.front().arrived;
  const auto after = std::ranges::upper_bound(samples_, at, {}, &Sample::at);
  const auto before = std::prev(after);
  const double part = seconds_between(before->at, at) / seconds_between(before->at, after->at);
  return before->arrived + part * (after->arrived - before->arrived);
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

// The first sample: what the signals tell of the half minute before has come evenly when more came before that, and
// just now when it is all there was.
void Arrivals::begin(const Signals& signals, const Sample& first) {
  const double latest = signals.arrivals_per_s.value_or(0) * to_s(kHalfMinute);
  const double before = signals.arrivals_per_s_long.value_or(0) * to_s(kLong) - latest;
  const bool goes_on = before > latest / 2;
  for (Seconds ago = kHalfMinute; ago > Seconds(0); ago -= kStep) {
    const double later = goes_on ? latest * to_s(ago) / to_s(kHalfMinute) : latest;
    samples_.push_back({.at = first.at - ago, .arrived = first.arrived - later});
  }
  if (!goes_on) samples_.push_back({.at = first.at - kJustNow, .arrived = first.arrived - latest});
  samples_.push_back(first);
}

// The lower rate of the two latest windows, of about `span` or more each, that begin and end at samples: what is told
// together, as a burst mostly is, is in one of them alone. 0: too little is remembered.
double Arrivals::lower_rate(Seconds span) const {
  const auto latest_by = [&](MonoTime at) {
    const auto after = std::ranges::upper_bound(samples_, at, {}, &Sample::at);
    return after == samples_.begin() ? samples_.end() : std::prev(after);
  };
  const auto middle = latest_by(samples_.back().at - span + kUneven);
  const auto begin = middle == samples_.end() ? middle : latest_by(middle->at - span + kUneven);
  if (begin == samples_.end()) return 0;
  return std::min(rate_between(begin->at, middle->at), rate_between(middle->at, samples_.back().at));
}

// A quiet time is over with the first signal that tells of an image, so until shortly before it nothing came.
void Arrivals::add_told(const Observation& observation) {
  const ToldArrivals& told = *observation.signals.arrived;
  const MonoTime quiet_until = observation.at - 2 * kGathered;
  if (samples_.empty()) {
    begin(observation.signals, {.at = std::max(told.until, quiet_until), .arrived = told.images});
  } else if (told.until > samples_.back().at) {
    samples_.push_back({.at = told.until, .arrived = told.images});
  } else if (quiet_until > samples_.back().at) {
    samples_.push_back({.at = quiet_until, .arrived = samples_.back().arrived});
  }
}

ArrivalRate Arrivals::observe(const Observation& observation, int ready, double image_s, bool after_gap) {
  const bool told = observation.signals.arrived.has_value();
  // Both are kept up to date; a change from one to the other begins anew, as the two need not agree.
  if (told != std::exchange(told_, told)) samples_.clear();
  const double counted = counted_since_last(observation, ready, image_s, after_gap);
  if (told) {
    add_told(observation);
  } else if (samples_.empty()) {
    begin({}, {.at = observation.at, .arrived = counted});
  } else if (observation.at > samples_.back().at) {
    samples_.push_back({.at = observation.at, .arrived = samples_.back().arrived + counted});
  }
  const MonoTime now = samples_.back().at;
  while (samples_.size() > 2 && samples_[1].at <= now - 4 * kHalfMinute) samples_.pop_front();

  const double latest = rate_between(now - kHalfMinute, now);
  const double earlier = rate_between(now - 2 * kHalfMinute, now - kHalfMinute);
  const double long_before = rate_between(now - 3 * kHalfMinute, now - 2 * kHalfMinute);
  const Seconds span = told ? kShortTold : kShortCounted;
  const double quick = lower_rate(span);
  const double slow = lower_rate(kHalfMinute);
  // Differences that chance makes are no reason to launch, and to end again soon after.
  const bool sudden = quick * to_s(span) >= kEnough && quick - slow > kSure * std::sqrt(quick / to_s(span));
  // A load that began and stays the same has grown from window to window as well, but not within the latest one.
  const MonoTime middle = now - kHalfMinute / 2;
  const double within = rate_between(middle, now) - rate_between(now - kHalfMinute, middle);
  const double rise = std::min({latest - earlier, earlier - long_before, 3 * within});
  const bool rising = rise > kSure * std::sqrt(latest / to_s(kHalfMinute));
  return {
      .low = sudden ? quick : slow, .high = std::max(latest, earlier), .growth = rising ? rise / to_s(kHalfMinute) : 0};
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

Millis Gaps::longest_expected(const Observation& observation, const ScalingRules& rules) const {
  std::vector<Millis> gaps = observation.signals.quiet_gaps;
  if (gaps.empty()) gaps.assign(gaps_.begin(), gaps_.end());
  if (gaps.size() > kGapsMax) gaps.erase(gaps.begin(), gaps.end() - static_cast<std::ptrdiff_t>(kGapsMax));
  if (gaps.size() < kGapsMin) return Millis(0);
  const Millis mean = std::accumulate(gaps.begin(), gaps.end(), Millis(0)) / static_cast<std::int64_t>(gaps.size());
  // Of exponential gaps half are longer than their mean times ln 2.
  if (std::chrono::duration<double>(mean) * std::numbers::ln2 > rules.keep_alive) return Millis(0);
  return std::chrono::duration_cast<Millis>(kLongestExpectedFactor * mean);
}

}  // namespace imgrec
