#include "lib/http/server/memory_budget.hpp"

#include <cassert>

namespace imgrec::http {

Reservation::~Reservation() {
  budget_->release(bytes_, has_last_share_, true);
}

void Reservation::shrink_to(std::uint64_t bytes) {
  assert(bytes <= bytes_);
  budget_->release(bytes_ - bytes, has_last_share_, false);
  bytes_ = bytes;
}

bool MemoryBudget::try_grow(Reservation& reservation, std::uint64_t bytes) {
  const bool passes_the_queue = bytes <= limits_.floor_bytes || reservation.has_last_share_;
  return (passes_the_queue || waiters_.empty()) && take(reservation, bytes);
}

bool MemoryBudget::take(Reservation& reservation, std::uint64_t bytes) {
  assert(bytes >= reservation.bytes_);
  const std::uint64_t more = bytes - reservation.bytes_;
  if (bytes > limits_.floor_bytes && !reservation.has_last_share_) {
    const std::uint64_t shared =
        limits_.bytes_max > limits_.upload_bytes_max ? limits_.bytes_max - limits_.upload_bytes_max : 0;
    const std::uint64_t used = used_ - last_share_bytes_;
    const bool fits = used <= shared && more <= shared - used;
    if (!fits && last_share_taken_.exchange(true)) return false;
    reservation.has_last_share_ = !fits;
    if (!fits) last_share_bytes_ = reservation.bytes_;
  }
  used_ += more;
  if (reservation.has_last_share_) last_share_bytes_ += more;
  reservation.bytes_ = bytes;
  return true;
}

void MemoryBudget::add(Waiter& waiter) {
  waiter.serial = ++serial_;
  waiters_.push_back(&waiter);
  // First the flag, then another look: what is returned meanwhile, on another thread, is seen here or sees the flag.
  somebody_waits_ = true;
  grant();
}

void MemoryBudget::remove(Waiter& waiter) {
  waiters_.remove(&waiter);
  grant();
}

void MemoryBudget::release(std::uint64_t bytes, bool last_share, bool all) {
  // In this order: between the steps less seems to be free than is.
  if (last_share) last_share_bytes_ -= bytes;
  [[maybe_unused]] const std::uint64_t before = used_.fetch_sub(bytes);
  assert(before >= bytes);
  if (last_share && all) last_share_taken_ = false;
  if (somebody_waits_) {
    run_on_io_thread_([weak = weak_from_this()] {
      if (const auto budget = weak.lock()) budget->grant();
    });
  }
}

void MemoryBudget::grant() {
  while (!waiters_.empty() && take(*waiters_.front()->reservation, waiters_.front()->bytes)) {
    Waiter& next = *waiters_.front();
    waiters_.pop_front();
    next.granted = true;
    next.wake();
  }
  somebody_waits_ = !waiters_.empty();
}

}  // namespace imgrec::http
