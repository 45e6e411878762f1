// How many bytes of request bodies may be in memory at once.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>

namespace imgrec {

/// Thread-safe; must outlive what it gave out.
class ByteBudget {
 public:
  explicit ByteBudget(std::uint64_t bytes_max) : bytes_max_(bytes_max) {}

  /// Waits until the bytes fit (whatever is alone fits), or until close(). They are returned when the last copy goes.
  std::shared_ptr<void> take(std::uint64_t bytes) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return closed_ || used_ == 0 || used_ + bytes <= bytes_max_; });
    used_ += bytes;
    return {this, [bytes](ByteBudget* budget) { budget->release(bytes); }};
  }

  /// Nobody waits any more.
  void close() {
    std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }

  std::uint64_t used() const {
    std::lock_guard lock(mutex_);
    return used_;
  }

 private:
  void release(std::uint64_t bytes) {
    std::lock_guard lock(mutex_);
    used_ -= bytes;
    changed_.notify_all();
  }

  const std::uint64_t bytes_max_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t used_ = 0;
  bool closed_ = false;
};

}  // namespace imgrec
