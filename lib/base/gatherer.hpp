// Items of many threads, taken by one in batches: so that what costs a call each travels in batches.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <utility>
#include <vector>

#include "lib/base/clock.hpp"

namespace imgrec {

/// How long one that takes `usual` all in all may be held up on its way to fill a batch: a part of that, and half a
/// second at most. As many as are under way at that time arrive in `usual` (Little's law), so where 80 of them pass by
/// one place, an eighth fills batches of ten there, whatever the pace.
constexpr Millis linger_for(Millis usual, int part = 8) {
  constexpr Millis kMax{500};
  return std::clamp(usual / part, Millis(0), kMax);
}

/// Thread-safe; any number of producers, one consumer. First in, first out.
template <class T>
class Gatherer {
 public:
  struct Options {
    std::size_t batch_max = 10;
    std::size_t waiting_max = 10'000;  // more: push() waits
    /// How long a batch may gather, counted from its first item's push, now that it has so many; 0: it leaves. Asked
    /// when a batch begins and at every push, with a lock held: it must not call the Gatherer.
    std::function<Millis(const T& first, std::size_t count)> linger = [](const T&, std::size_t) { return Millis(0); };
  };
  Gatherer(Clock& clock, Options options) : clock_(clock), options_(std::move(options)) {}

  /// Waits for a place. Gives the item back when closed.
  std::optional<T> push(T item) {
    std::unique_lock lock(mutex_);
    has_place_.wait(lock, [&] { return closed_ || items_.size() < options_.waiting_max; });
    if (closed_) return item;
    items_.push_back({std::move(item), clock_.mono_now()});
    if (items_.size() == 1) has_item_.notify_one();
    if (lingering_ && (items_.size() >= options_.batch_max || linger() <= Millis(0))) lingering_->request_stop();
    return std::nullopt;
  }

  /// Waits for an item, then for more as long as `linger` says or until the batch is full. Empty: closed, and
  /// nothing is left.
  std::vector<T> take() {
    std::unique_lock lock(mutex_);
    has_item_.wait(lock, [&] { return closed_ || !items_.empty(); });
    while (!items_.empty() && items_.size() < options_.batch_max && !flushing_) {
      const MonoTime end = items_.front().pushed_at + linger();
      if (clock_.mono_now() >= end) break;
      std::stop_source woken;
      lingering_ = woken;
      lock.unlock();
      clock_.sleep_until(end, woken.get_token());
      lock.lock();
      lingering_.reset();
    }
    std::vector<T> batch;
    while (!items_.empty() && batch.size() < options_.batch_max) {
      batch.push_back(std::move(items_.front().item));
      items_.pop_front();
    }
    has_place_.notify_all();
    return batch;
  }

  /// From now on nothing lingers.
  void flush() {
    std::lock_guard lock(mutex_);
    flushing_ = true;
    if (lingering_) lingering_->request_stop();
  }

  /// No more pushes; take() gives what is left, at once.
  void close() {
    std::lock_guard lock(mutex_);
    closed_ = flushing_ = true;
    has_item_.notify_all();
    has_place_.notify_all();
    if (lingering_) lingering_->request_stop();
  }

 private:
  struct Item {
    T item;
    MonoTime pushed_at{};
  };
  Millis linger() const { return options_.linger(items_.front().item, items_.size()); }

  Clock& clock_;
  const Options options_;
  std::mutex mutex_;
  std::condition_variable has_item_, has_place_;
  std::deque<Item> items_;
  std::optional<std::stop_source> lingering_;  // the consumer lingers; a stop wakes it
  bool flushing_ = false, closed_ = false;
};

}  // namespace imgrec
