// Collects the items of many threads; one thread takes them in batches, so that several travel in one call.
#pragma once

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

/// Thread-safe; any number of producers, one consumer. First in, first out.
template <class T>
class Batcher {
 public:
  struct Options {
    std::size_t batch_max = 10;
    std::size_t waiting_max = 10'000;  // push() waits while there are so many
    /// How long a batch of `count` items may wait for more, counted from the push of its first; 0: it leaves now (see
    /// linger.hpp). Asked when a batch begins and at every push, with a lock held: it must not call the Batcher.
    std::function<Millis(const T& first, std::size_t count)> linger = [](const T&, std::size_t) { return Millis(0); };
  };
  Batcher(Clock& clock, Options options) : clock_(clock), options_(std::move(options)) {}

  /// Waits while waiting_max items wait. Returns the item when the batcher is closed, else nothing.
  std::optional<T> push(T item) {
    std::unique_lock lock(mutex_);
    has_place_.wait(lock, [&] { return closed_ || items_.size() < options_.waiting_max; });
    if (closed_) return item;
    items_.push_back({std::move(item), clock_.mono_now()});
    if (items_.size() == 1) has_item_.notify_one();
    if (lingering_ && (items_.size() >= options_.batch_max || linger() <= Millis(0))) lingering_->request_stop();
    return std::nullopt;
  }

  /// Waits for an item, then for more as long as `linger` says or until the batch is full. Returns no items when the
  /// batcher is closed and nothing is left.
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

  /// From now on no batch waits for more.
  void flush() {
    std::lock_guard lock(mutex_);
    flushing_ = true;
    if (lingering_) lingering_->request_stop();
  }

  /// Refuses further pushes; take() returns what is left without waiting.
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
