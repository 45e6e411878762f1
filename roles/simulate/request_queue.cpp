#include "roles/simulate/request_queue.hpp"

#include <algorithm>
#include <cmath>

#include "lib/arrivals/distributions.hpp"

namespace imgrec::simulate {
namespace {

constexpr Span kHistoryStep = std::chrono::milliseconds(500);
constexpr Span kHistoryKept = std::chrono::minutes(3);
constexpr double kLateMaxS = 60;
constexpr std::uint64_t kExactUpTo = 10;

}  // namespace

std::uint64_t RequestQueue::sampled(std::uint64_t count, Rng& rng) const {
  if (count <= kExactUpTo || off_ <= 0) return count;
  const double seen = static_cast<double>(count) * (1 + off_ * sample_normal(rng));
  return static_cast<std::uint64_t>(std::max(0.0, std::round(seen)));
}

void RequestQueue::add(std::uint32_t job, std::uint32_t images, MonoTime now) {
  visible_.push_back(job);
  visible_images_ += images;
  record(now);
}

void RequestQueue::take(MonoTime now, std::uint32_t images) {
  visible_.pop_front();
  visible_images_ -= images;
  in_flight_images_ += images;
  record(now);
}

void RequestQueue::return_to_head(std::uint32_t job, std::uint32_t images, MonoTime now) {
  visible_.push_front(job);
  visible_images_ += images;
  in_flight_images_ -= images;
  record(now);
}

void RequestQueue::leave_flight(std::uint32_t images, MonoTime now) {
  in_flight_images_ -= images;
  record(now);
}

void RequestQueue::let_leave(MonoTime now) {
  for (; !leaving_.empty() && leaving_.front().at <= now; leaving_.pop_front()) {
    in_flight_images_ -= leaving_.front().images;
    note(leaving_.front().at);
  }
}

void RequestQueue::record(MonoTime now) {
  let_leave(now);
  note(now);
}

void RequestQueue::note(MonoTime now) {
  // Changes within one step are one entry, so that a busy queue's history stays short.
  if (history_.empty() || now - history_.back().at >= kHistoryStep) {
    history_.push_back({.at = now});
    while (history_.size() > 1 && history_[1].at < now - kHistoryKept) history_.pop_front();
  }
  history_.back().visible = visible_images_;
  history_.back().in_flight = in_flight_images_;
}

QueueDepth RequestQueue::read(MonoTime now, Span late, Rng& rng) {
  let_leave(now);
  const Span usual = late_s_ > 0 ? from_seconds(std::min(kLateMaxS, sample_exponential(rng, late_s_))) : Span(0);
  const MonoTime as_of = now - std::max(usual, late);
  const auto after = std::ranges::upper_bound(history_, as_of, {}, &Counts::at);
  if (after == history_.begin()) return {};
  const Counts& counts = *std::prev(after);
  return {.visible = sampled(counts.visible, rng), .in_flight = sampled(counts.in_flight, rng)};
}

}  // namespace imgrec::simulate
