// Wakes threads of any process that wait for a queue to change: counters in a small shared file, and a futex on it.
//
// A waiter costs no CPU: it sleeps on its Clock. One thread per process, and only while something waits, sleeps in the
// kernel (FUTEX_WAIT_BITSET) until the counter of a queue moves that this process waits for now and then, and stops the
// sleep of those whose queue it was.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <list>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>

#include "lib/base/clock.hpp"
#include "lib/base/result.hpp"

namespace imgrec {

/// Thread-safe.
class WakeBoard {
 public:
  /// Makes the file when it is not there. Errors: denied "queue_denied", transient "disk_full", "queue_unavailable".
  static Result<std::unique_ptr<WakeBoard>> open(const std::filesystem::path& file);
  ~WakeBoard();
  WakeBoard(const WakeBoard&) = delete;
  WakeBoard& operator=(const WakeBoard&) = delete;

  /// The queue's counter. Read it, then look at the queue, then wait() with what was read: no change is missed.
  std::uint32_t seen(std::int64_t queue) const;
  /// After a change has been committed. (Two queues may share a counter: a needless wake is harmless.)
  void ring(std::int64_t queue);
  /// Sleeps until the counter is not `seen` any more, the clock reaches `until`, or a stop is requested.
  void wait(std::int64_t queue, std::uint32_t seen, MonoTime until, Clock& clock, const std::stop_token& stop);

 private:
  struct Waiter {
    std::uint32_t* counter;
    std::uint32_t seen;
    std::stop_source wake;
  };

  explicit WakeBoard(std::uint32_t* words) : words_(words) {}
  std::uint32_t* counter_of(std::int64_t queue) const;
  void watch(const std::stop_token& stop);
  void wake_changed();

  std::uint32_t* const words_;  // [0] moves with every ring; the others are the queues' counters
  std::mutex mutex_;
  std::condition_variable_any waiters_changed_;
  std::list<Waiter> waiters_;
  std::uint32_t bits_ = 0;  // of the queues ever waited for here
  std::jthread watcher_;    // started by the first wait
};

}  // namespace imgrec
