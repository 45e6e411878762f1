#include "roles/web/results/pending_request.hpp"

#include <algorithm>
#include <utility>

namespace imgrec {

PendingRequest::PendingRequest(std::vector<ImageSlot> slots, const Options& options, Done done)
    : options_(options), slots_(std::move(slots)), done_(std::move(done)) {
  open_ =
      static_cast<std::size_t>(std::ranges::count_if(slots_, [](const ImageSlot& slot) { return !slot.settled(); }));
  unqueued_ = static_cast<std::size_t>(
      std::ranges::count_if(slots_, [](const ImageSlot& slot) { return !slot.settled() && !slot.queued; }));
}

bool PendingRequest::ended() const {
  std::lock_guard lock(mutex_);
  return ended_;
}

void PendingRequest::queued(std::size_t index) {
  std::unique_lock lock(mutex_);
  if (ended_ || slots_[index].settled() || std::exchange(slots_[index].queued, true)) return;
  --unqueued_;
  settle(std::move(lock));
}

void PendingRequest::answer(std::size_t index, JobResult result) {
  std::unique_lock lock(mutex_);
  if (ended_ || slots_[index].settled()) return;
  // An answer can overtake the queue's own receipt for the request.
  if (!std::exchange(slots_[index].queued, true)) --unqueued_;
  slots_[index].result = std::move(result);
  --open_;
  settle(std::move(lock));
}

void PendingRequest::refuse(std::size_t index, Error error) {
  std::unique_lock lock(mutex_);
  if (ended_ || slots_[index].settled()) return;
  if (!slots_[index].queued) --unqueued_;
  slots_[index].refused = std::move(error);
  --open_;
  settle(std::move(lock));
}

void PendingRequest::refuse_all(const Error& error) {
  std::unique_lock lock(mutex_);
  if (ended_) return;
  for (ImageSlot& slot : slots_) {
    if (!slot.settled()) slot.refused = error;
  }
  end(std::move(lock), WaitEnd::answered);
}

void PendingRequest::leave() {
  std::unique_lock lock(mutex_);
  if (!ended_) end(std::move(lock), WaitEnd::left);
}

void PendingRequest::end_if_settled() {
  std::unique_lock lock(mutex_);
  if (!ended_) settle(std::move(lock));
}

void PendingRequest::reach_deadline() {
  std::unique_lock lock(mutex_);
  if (ended_) return;
  if (!options_.accept_at_deadline) return end(std::move(lock), WaitEnd::timed_out);
  accept_when_queued_ = true;
  settle(std::move(lock));
}

void PendingRequest::stop() {
  std::unique_lock lock(mutex_);
  if (ended_) return;
  const bool accepted = options_.accept_at_deadline && unqueued_ == 0;
  end(std::move(lock), accepted ? WaitEnd::accepted : WaitEnd::stopping);
}

void PendingRequest::settle(std::unique_lock<std::mutex> lock) {
  if (open_ == 0) return end(std::move(lock), WaitEnd::answered);
  if (accept_when_queued_ && unqueued_ == 0) return end(std::move(lock), WaitEnd::accepted);
}

void PendingRequest::end(std::unique_lock<std::mutex> lock, WaitEnd how) {
  ended_ = true;
  Done done = std::move(done_);
  std::vector<ImageSlot> slots = std::move(slots_);
  lock.unlock();
  done(this, how, std::move(slots));
}

}  // namespace imgrec
