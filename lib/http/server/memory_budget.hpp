// How much memory request bodies may take. Private to lib/http.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>

namespace imgrec::http {

class MemoryBudget;

/// The bytes that one body counts for; returned when it is destroyed, on whatever thread. Changed on the I/O thread.
class Reservation {
 public:
  explicit Reservation(std::shared_ptr<MemoryBudget> budget) : budget_(std::move(budget)) {}
  Reservation(const Reservation&) = delete;
  Reservation& operator=(const Reservation&) = delete;
  ~Reservation();
  std::uint64_t bytes() const { return bytes_; }
  void shrink_to(std::uint64_t bytes);

 private:
  friend class MemoryBudget;
  const std::shared_ptr<MemoryBudget> budget_;
  std::uint64_t bytes_ = 0;
  bool has_last_share_ = false;
};

/// Belongs to the I/O thread, but for used() and the return of a reservation, which are thread-safe.
///
/// Bodies reserve as they arrive, so several may be incomplete when all is taken, each waiting for the others. So the
/// last upload_bytes_max of the budget are kept for one body at a time: it can always arrive whole, and whatever waits
/// gets that share in its turn. What is within the floor is never refused: it alone can exceed the budget.
class MemoryBudget : public std::enable_shared_from_this<MemoryBudget> {
 public:
  struct Limits {
    std::uint64_t bytes_max = 0;
    std::uint64_t upload_bytes_max = 0;  // of one body
    std::uint64_t floor_bytes = 0;       // of each body
  };
  struct Waiter {
    Reservation* reservation = nullptr;
    std::uint64_t bytes = 0;  // what it is to grow to
    std::move_only_function<void()> wake = {};
    bool granted = false;
    std::uint64_t serial = 0;
  };

  /// `run_on_io_thread` posts a function to the I/O thread, from any thread, or drops it when that thread has ended.
  MemoryBudget(const Limits& limits, std::function<void(std::function<void()>)> run_on_io_thread)
      : limits_(limits), run_on_io_thread_(std::move(run_on_io_thread)) {}

  /// Returns false when there is no room, or others wait already.
  bool try_grow(Reservation& reservation, std::uint64_t bytes);
  /// First come, first served; the waiter must be removed before it is destroyed.
  void add(Waiter& waiter);
  void remove(Waiter& waiter);
  /// Who waits for longest, by the serial number it got in add(); 0 when nobody waits.
  std::uint64_t longest_waiting() const { return waiters_.empty() ? 0 : waiters_.front()->serial; }
  std::size_t waiting() const { return waiters_.size(); }
  std::uint64_t used() const { return used_; }
  const Limits& limits() const { return limits_; }

 private:
  friend class Reservation;
  bool take(Reservation& reservation, std::uint64_t bytes);
  void release(std::uint64_t bytes, bool last_share, bool all);
  void grant();

  const Limits limits_;
  const std::function<void(std::function<void()>)> run_on_io_thread_;
  std::atomic<std::uint64_t> used_ = 0;
  std::atomic<bool> last_share_taken_ = false;
  std::atomic<std::uint64_t> last_share_bytes_ = 0;  // of used_, those of who has the last share
  std::atomic<bool> somebody_waits_ = false;
  std::list<Waiter*> waiters_;
  std::uint64_t serial_ = 0;
};

}  // namespace imgrec::http
