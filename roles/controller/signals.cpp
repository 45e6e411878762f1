#include "roles/controller/signals.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

namespace imgrec {
namespace {

static_assert(kGathered == kWebSignalEvery, "policies see no signals, but count on how late they are");

constexpr Seconds kShort{30}, kLong{300};
constexpr std::size_t kGapsMax = 20, kReadyMax = 100;
constexpr std::size_t kBootsMax = 20, kImagesMax = 4;  // of each image; the latest images
constexpr double kSaturated = 0.9;
constexpr Seconds kReportsKept{600};
constexpr std::uint64_t kReportImagesMin = 3;  // fewer say nothing about the time of one

template <class T>
void keep_latest(std::vector<T>& all, std::size_t most) {
  if (all.size() > most) all.erase(all.begin(), all.end() - static_cast<std::ptrdiff_t>(most));
}

}  // namespace

SignalBook::Sender* SignalBook::first_time(const Signal& signal, MonoTime now, WallTime wall, bool& is_newest) {
  auto found = senders_.find(signal.sender);
  if (found == senders_.end()) {
    if (senders_.size() >= kSendersMax) return nullptr;
    found = senders_.try_emplace(signal.sender).first;
    found->second.life = signal.life;
  }
  Sender& sender = found->second;
  if (sender.life != signal.life) {
    // Lives cannot be ordered: the one that was heard before another is the earlier one, and its late signals are void.
    std::string& earlier = earlier_life_[signal.sender];
    if (earlier == signal.life) return nullptr;
    earlier = sender.life;
    sender = {};
    sender.life = signal.life;
  }
  is_newest = signal.sequence > sender.newest;
  if (is_newest) {
    const std::uint64_t step = signal.sequence - sender.newest;
    sender.heard_set = step < 64 ? sender.heard_set << step : 0;
    sender.newest = signal.sequence;
  }
  const std::uint64_t back = sender.newest - signal.sequence;
  if (back >= 64 || (sender.heard_set >> back & 1) != 0) return nullptr;
  sender.heard_set |= 1ULL << back;
  sender.heard_at = now;
  sender.heard_wall = wall;
  return &sender;
}

bool SignalBook::arrived(const Signal& signal, MonoTime now) {
  if (signal.images == 0) return false;
  const MonoTime first = now - signal.span;  // within the span it is not known when
  const bool after_quiet = !last_arrival_ || first - *last_arrival_ > kQuiet;
  if (last_arrival_ && after_quiet) {
    gaps_.push_back(std::chrono::duration_cast<Millis>(first - *last_arrival_));
    if (gaps_.size() > kGapsMax) gaps_.pop_front();
  }
  if (!first_arrival_) first_arrival_ = first;
  last_arrival_ = std::max(last_arrival_.value_or(now), now);
  arrivals_.push_back({.at = now, .span = signal.span, .images = signal.images});
  arrived_ += static_cast<double>(signal.images);
  return after_quiet;
}

bool SignalBook::hear(const Signal& signal, MonoTime now, WallTime wall) {
  bool is_newest = false;
  Sender* sender = first_time(signal, now, wall, is_newest);
  if (sender == nullptr) return false;
  if (signal.kind == SignalKind::enqueued) return arrived(signal, now);
  if (signal.kind == SignalKind::draining || signal.kind == SignalKind::ended) {
    sender->gone = true;
    return signal.kind == SignalKind::ended;
  }
  if (!sender->ready_since) {
    sender->ready_since = now;
    // Only the first signal of a life tells when it became ready; that of another came later.
    if (signal.kind == SignalKind::ready) {
      sender->ready_wall = wall;
      ready_lately_.push_back({.app_tier_id = signal.sender, .at = wall});
      if (ready_lately_.size() > kReadyMax) ready_lately_.pop_front();
    }
  }
  if (signal.kind != SignalKind::worked) return true;  // ready
  sender->images += signal.images;
  if (signal.images >= kReportImagesMin) {
    reports_.push_back({.at = now,
                        .busy_s = to_s(signal.span) * signal.busy_share,
                        .saturated = signal.busy_share >= kSaturated,
                        .images = signal.images});
  }
  if (!is_newest) return false;  // a newer one has told how it is now
  sender->busy_share = signal.busy_share;
  sender->idle_since = signal.idle > Millis(0) ? std::optional(now - signal.idle) : std::nullopt;
  return false;
}

void SignalBook::forget(MonoTime now) {
  while (!arrivals_.empty() && arrivals_.front().at < now - kLong - kShort) arrivals_.pop_front();
  while (!reports_.empty() && reports_.front().at < now - kReportsKept) reports_.pop_front();
  std::erase_if(senders_, [&](const auto& one) { return now - one.second.heard_at > kLong; });
  std::erase_if(earlier_life_, [&](const auto& one) { return !senders_.contains(one.first); });
}

// A signal's images are spread evenly over its span.
double SignalBook::arrived_within(MonoTime now, Seconds span) const {
  double images = 0;
  for (const Arrival& arrival : arrivals_) {
    const MonoTime begin = arrival.at - arrival.span;
    const MonoTime from = std::max(begin, now - span);
    if (arrival.at < now - span) continue;
    const double part =
        arrival.span > Millis(0) ? std::chrono::duration<double>(arrival.at - from).count() / to_s(arrival.span) : 1;
    images += part * static_cast<double>(arrival.images);
  }
  return images;
}

void SignalBook::booted(const std::string& image, Millis took) {
  auto found = std::ranges::find(boots_, image, &ImageBoots::image);
  if (found == boots_.end()) found = boots_.insert(found, {.image = image, .times = {}});
  std::rotate(found, found + 1, boots_.end());
  keep_latest(boots_.back().times, kBootsMax - 1);
  boots_.back().times.push_back(took);
  keep_latest(boots_, kImagesMax);
}

void SignalBook::recall_boots(std::vector<ImageBoots> boots) {
  boots_ = std::move(boots);
  std::erase_if(boots_, [](const ImageBoots& one) { return one.times.empty(); });
  for (ImageBoots& one : boots_) keep_latest(one.times, kBootsMax);
  keep_latest(boots_, kImagesMax);
}

// What comes is like the latest: with another image a boot may take much less.
void SignalBook::add_boots(Signals& signals) const {
  signals.boots = boots_;
  if (boots_.empty()) return;
  std::vector<Millis> sorted = boots_.back().times;
  std::ranges::sort(sorted);
  const Millis sum = std::accumulate(sorted.begin(), sorted.end(), Millis(0));
  signals.boot_mean = sum / static_cast<std::int64_t>(sorted.size());
  signals.boot_high = sorted[sorted.size() * 9 / 10];
}

// While a worker has less to do than it could, an image's time is mostly that of waiting for stores and queues, which
// others could use meanwhile. So reports of saturated workers count where there are any.
std::optional<double> SignalBook::image_seconds() const {
  const bool any_saturated = std::ranges::any_of(reports_, &Report::saturated);
  double busy_s = 0, images = 0;
  for (const Report& report : reports_) {
    if (report.saturated != any_saturated) continue;
    busy_s += report.busy_s;
    images += static_cast<double>(report.images);
  }
  return images > 0 && busy_s > 0 ? std::optional(busy_s / images) : std::nullopt;
}

Signals SignalBook::read(MonoTime now, const std::vector<Instance>& instances) {
  forget(now);
  Signals signals;
  if (first_arrival_) {
    signals.arrived = {.images = arrived_, .until = *last_arrival_};
    signals.arrivals_per_s = arrived_within(now, kShort) / to_s(kShort);
    signals.arrivals_per_s_long = arrived_within(now, kLong) / to_s(kLong);
    signals.last_arrival = last_arrival_;
    signals.quiet_gaps.assign(gaps_.begin(), gaps_.end());
  }
  signals.image_seconds = image_seconds();
  signals.ready_lately.assign(ready_lately_.begin(), ready_lately_.end());

  bool any = false;
  std::vector<InstanceSignals> said(instances.size());
  for (std::size_t i = 0; i < instances.size(); ++i) {
    const auto found = senders_.find(instances[i].app_tier_id);
    if (found == senders_.end()) continue;
    Sender& sender = found->second;
    if (sender.heard_wall < instances[i].launched_at || now - sender.heard_at > kWorkerSilentMax) continue;
    if (instances[i].state == InstanceState::stopping) continue;
    if (sender.gone) {
      any = said[i].leaving = true;
      continue;
    }
    if (sender.ready_wall && *sender.ready_wall >= instances[i].launched_at) {
      booted(instances[i].image, *sender.ready_wall - instances[i].launched_at);
    }
    sender.ready_wall.reset();
    any = true;
    said[i] = {.ready_since = sender.ready_since,
               .last_heard = sender.heard_at,
               .idle_since = sender.idle_since,
               .busy_share = sender.busy_share,
               .images = sender.images};
  }
  if (any) signals.instances = std::move(said);
  add_boots(signals);
  return signals;
}

}  // namespace imgrec
