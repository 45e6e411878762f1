// A queue between threads that never holds more than its limit: pushing waits (back-pressure) rather than growing.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <stop_token>
#include <utility>

namespace imgrec {

/// Thread-safe; any number of producers and consumers. First in, first out. A push wakes one consumer, not all.
template <class T>
class BoundedQueue {
 public:
  explicit BoundedQueue(std::size_t items_max) : items_max_(items_max) {}

  /// Waits for a place; false when closed or stopped (the item is then not taken).
  bool push(T item, std::stop_token stop = {}) {
    std::unique_lock lock(mutex_);
    has_place_.wait(lock, stop, [&] { return closed_ || items_.size() < items_max_; });
    if (closed_ || stop.stop_requested()) {
      has_place_.notify_one();  // the place that woke us, if one did, is another's now
      return false;
    }
    add(std::move(item), lock);
    return true;
  }

  /// Never waits; false when full or closed.
  bool try_push(T item) {
    std::unique_lock lock(mutex_);
    if (closed_ || items_.size() >= items_max_) return false;
    add(std::move(item), lock);
    return true;
  }

  /// Waits for an item; nothing when stopped, or closed and empty.
  std::optional<T> pop(std::stop_token stop = {}) {
    std::unique_lock lock(mutex_);
    has_item_.wait(lock, stop, [&] { return closed_ || !items_.empty(); });
    if (items_.empty()) return std::nullopt;
    if (stop.stop_requested()) {
      has_item_.notify_one();  // the item that woke us, if one did, is another's now
      return std::nullopt;
    }
    return take_front(lock);
  }

  std::optional<T> try_pop() {
    std::unique_lock lock(mutex_);
    if (items_.empty()) return std::nullopt;
    return take_front(lock);
  }

  /// No more pushes; consumers get what is left, then nothing.
  void close() {
    std::lock_guard lock(mutex_);
    closed_ = true;
    has_item_.notify_all();
    has_place_.notify_all();
  }

  std::size_t size() const {
    std::lock_guard lock(mutex_);
    return items_.size();
  }

 private:
  // Both notify without the lock, so that who wakes does not wait for it at once. The queue outlives the call: its
  // owner joins the threads that use it.
  void add(T item, std::unique_lock<std::mutex>& lock) {
    items_.push_back(std::move(item));
    lock.unlock();
    has_item_.notify_one();
  }
  T take_front(std::unique_lock<std::mutex>& lock) {
    T item = std::move(items_.front());
    items_.pop_front();
    lock.unlock();
    has_place_.notify_one();
    return item;
  }

  const std::size_t items_max_;
  mutable std::mutex mutex_;
  std::condition_variable_any has_item_, has_place_;
  std::deque<T> items_;
  bool closed_ = false;
};

}  // namespace imgrec
