#include "roles/worker/lease_keeper.hpp"

#include <algorithm>

#include "lib/base/log.hpp"

namespace imgrec {
namespace {

constexpr Millis kRenewMax{10'000};
constexpr Millis kReleaseMax{10'000};
constexpr Millis kReleaseAllMax{2'000};

}  // namespace

LeaseKeeper::LeaseKeeper(MessageQueue& queue, Clock& clock, Millis visibility, WorkerMetrics& metrics)
    : queue_(queue),
      clock_(clock),
      visibility_(visibility),
      metrics_(metrics),
      outage_("renewing leases", clock),
      thread_([this] { run(ended_.get_token()); }) {}

LeaseKeeper::~LeaseKeeper() {
  ended_.request_stop();
}

void LeaseKeeper::hold(const Receipt& receipt) {
  std::lock_guard lock(mutex_);
  due_[receipt] = clock_.mono_now() + visibility_ / 2;
}

void LeaseKeeper::forget(const Receipt& receipt) {
  std::lock_guard lock(mutex_);
  due_.erase(receipt);
}

void LeaseKeeper::release(std::span<const Receipt> receipts, Millis delay) {
  if (ended_.stop_requested()) return;
  make_visible(receipts, delay, {Deadline::in(clock_, kReleaseMax), ended_.get_token()});
}

std::size_t LeaseKeeper::release_all() {
  ended_.request_stop();  // also ends the calls under way, so that this need not wait for them
  const std::vector<Receipt> receipts = held();
  make_visible(receipts, Millis(0), Deadline::in(clock_, kReleaseAllMax));
  return receipts.size();
}

void LeaseKeeper::make_visible(std::span<const Receipt> receipts, Millis delay, const CallLimits& limits) {
  std::lock_guard renewing(renewing_);
  {
    std::lock_guard lock(mutex_);
    for (const Receipt& receipt : receipts) due_.erase(receipt);
  }
  for (; !receipts.empty(); receipts = receipts.subspan(std::min(receipts.size(), kBatchMax))) {
    const auto batch = receipts.first(std::min(receipts.size(), kBatchMax));
    const auto outcomes = queue_.extend(batch, delay, limits);
    if (!outcomes && outcomes.error().kind == ErrorKind::cancelled) {
      // release_all() takes these along.
      std::lock_guard lock(mutex_);
      for (const Receipt& receipt : receipts) due_[receipt] = MonoTime::max();
      return;
    }
    if (!outcomes) {
      log::warning("messages not returned; they come back when their lease ends",
                   {{"messages", batch.size()}, {"error", describe(outcomes.error())}});
      continue;
    }
    for (const Result<void>& outcome : *outcomes) {
      if (!outcome) log::debug("message not returned", {{"error", describe(outcome.error())}});
    }
  }
}

std::vector<Receipt> LeaseKeeper::held() const {
  std::lock_guard lock(mutex_);
  std::vector<std::pair<MonoTime, Receipt>> by_age;
  for (const auto& [receipt, due] : due_) by_age.emplace_back(due, receipt);
  std::ranges::sort(by_age);
  std::vector<Receipt> receipts;
  for (const auto& [due, receipt] : by_age) receipts.push_back(receipt);
  return receipts;
}

void LeaseKeeper::run(const std::stop_token& stop) {
  // A message held from now on is due after visibility / 2 or later, so sleeping so long at most misses none.
  while (!stop.stop_requested()) {
    MonoTime wake = clock_.mono_now() + visibility_ / 2;
    {
      std::lock_guard lock(mutex_);
      for (const auto& [receipt, due] : due_) wake = std::min(wake, due);
    }
    if (!clock_.sleep_until(wake, stop)) return;
    renew_due(stop);
  }
}

void LeaseKeeper::renew_due(const std::stop_token& stop) {
  std::lock_guard renewing(renewing_);
  std::vector<Receipt> receipts;
  {
    std::lock_guard lock(mutex_);
    // What is due soon goes along: fewer calls.
    const MonoTime soon = clock_.mono_now() + visibility_ / 8;
    for (const auto& [receipt, due] : due_) {
      if (due <= soon) receipts.push_back(receipt);
    }
  }
  for (std::span<const Receipt> rest = receipts; !rest.empty(); rest = rest.subspan(std::min(rest.size(), kBatchMax))) {
    if (stop.stop_requested()) return;
    renew(rest.first(std::min(rest.size(), kBatchMax)), stop);
  }
}

void LeaseKeeper::renew(std::span<const Receipt> receipts, const std::stop_token& stop) {
  const MonoTime begin = clock_.mono_now();
  const auto outcomes =
      queue_.extend(receipts, visibility_, {Deadline::in(clock_, std::min(kRenewMax, visibility_ / 4)), stop});
  if (outcomes) {
    outage_.succeeded();
  } else if (outcomes.error().kind != ErrorKind::cancelled) {
    outage_.failed(outcomes.error());
  }
  const Millis retry = visibility_ / 8;  // a failed renewal has several more tries before the lease ends
  std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < receipts.size(); ++i) {
    const auto found = due_.find(receipts[i]);
    if (found == due_.end()) continue;  // done meanwhile
    if (!outcomes) {
      found->second = begin + retry;
    } else if ((*outcomes)[i]) {
      found->second = begin + visibility_ / 2;
      metrics_.leases_extended.add();
    } else if ((*outcomes)[i].error().kind == ErrorKind::not_found) {
      log::debug("lease lost; another worker has this message", {{"receipt", receipts[i]}});
      metrics_.leases_lost.add();
      due_.erase(found);
    } else {
      log::debug("lease not renewed", {{"error", describe((*outcomes)[i].error())}});
      found->second = begin + retry;
    }
  }
}

}  // namespace imgrec
