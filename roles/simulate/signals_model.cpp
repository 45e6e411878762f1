#include "roles/simulate/signals_model.hpp"

#include <algorithm>
#include <numeric>
#include <vector>

namespace imgrec::simulate {
namespace {

constexpr int kShortS = 30, kLongS = 300;
constexpr double kForgetImages = 500;  // the mean time per image is of about so many latest ones

std::int64_t second_of(MonoTime at) {
  return std::chrono::floor<std::chrono::seconds>(at - kBegin).count();
}

}  // namespace

bool SignalsModel::arrived(MonoTime now, std::uint32_t images) {
  move_to(second_of(now));
  arrivals_[static_cast<std::size_t>(newest_ % kSecondsKept)] += images;
  arrived_ += images;
  const bool after_quiet = !last_arrival_ || now - *last_arrival_ > kQuiet;
  if (after_quiet && last_arrival_) {
    gaps_.push_back(std::chrono::duration_cast<Millis>(now - *last_arrival_));
    if (gaps_.size() > kGapsKept) gaps_.pop_front();
  }
  last_arrival_ = now;
  tell_gathered(now);
  untold_ = told_at_ && now - *told_at_ < kGathered;
  if (!untold_) {
    told_at_ = now;
    told_ = second_of(now);
  }
  return after_quiet;
}

void SignalsModel::finished(std::uint32_t images, double machine_s) {
  const double kept = std::max(0.0, 1 - images / kForgetImages);
  images_ = images_ * kept + images;
  machine_s_ = machine_s_ * kept + machine_s;
}

void SignalsModel::booted(Span boot) {
  boots_.push_back(boot);
  if (boots_.size() > kBootsKept) boots_.pop_front();
}

void SignalsModel::move_to(std::int64_t second) {
  if (second - newest_ >= kSecondsKept) {
    arrivals_.fill(0);
    newest_ = second;
  }
  while (newest_ < second) arrivals_[static_cast<std::size_t>(++newest_ % kSecondsKept)] = 0;
}

// What has come since the last signal, once it is time.
void SignalsModel::tell_gathered(MonoTime now) {
  if (!untold_ || now - *told_at_ < kGathered) return;
  *told_at_ += kGathered;
  told_ = second_of(*told_at_);
  untold_ = false;
}

// What is known at this second of the arrivals of the latest `seconds`.
double SignalsModel::told_within(std::int64_t now, int seconds) const {
  double sum = 0;
  for (std::int64_t second = std::max<std::int64_t>(0, now - seconds + 1); second <= told_; ++second) {
    sum += arrivals_[static_cast<std::size_t>(second % kSecondsKept)];
  }
  return sum;
}

double SignalsModel::untold() const {
  double sum = 0;
  for (std::int64_t second = told_ + 1; second <= newest_; ++second) {
    sum += arrivals_[static_cast<std::size_t>(second % kSecondsKept)];
  }
  return sum;
}

Signals SignalsModel::read(MonoTime now) {
  Signals signals;
  if (!last_arrival_) return signals;
  move_to(second_of(now));
  tell_gathered(now);
  signals.arrived = {.images = arrived_ - untold(), .until = kBegin + std::chrono::seconds(told_)};
  signals.arrivals_per_s = told_within(newest_, kShortS) / kShortS;
  signals.arrivals_per_s_long = told_within(newest_, kLongS) / kLongS;
  signals.last_arrival = last_arrival_;
  signals.quiet_gaps.assign(gaps_.begin(), gaps_.end());
  if (images_ > 0) signals.image_seconds = machine_s_ / images_;
  if (!boots_.empty()) {
    const Span sum = std::accumulate(boots_.begin(), boots_.end(), Span(0));
    signals.boot_mean = std::chrono::duration_cast<Millis>(sum / static_cast<std::int64_t>(boots_.size()));
    std::vector<Span> sorted(boots_.begin(), boots_.end());
    const auto high = sorted.begin() + static_cast<std::ptrdiff_t>((sorted.size() * 9) / 10);
    std::ranges::nth_element(sorted, high);
    signals.boot_high = std::chrono::duration_cast<Millis>(*high);
  }
  return signals;
}

}  // namespace imgrec::simulate
