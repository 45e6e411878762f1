// The request queue as SQS behaves: work is handed out in order, and what a reader is told of its length is late and
// sampled.
#pragma once

#include <cstdint>
#include <deque>

#include "lib/base/rng.hpp"
#include "lib/ports/message_queue.hpp"
#include "roles/simulate/sim_time.hpp"

namespace imgrec::simulate {

class RequestQueue {
 public:
  /// The counts that read() tells are late_s old in the mean, and off by this deviation where they are above ten.
  explicit RequestQueue(double late_s = 2, double off = 0.05) : late_s_(late_s), off_(off) {}

  /// A job of so many images can be received.
  void add(std::uint32_t job, std::uint32_t images, MonoTime now);
  bool has_work() const { return !visible_.empty(); }
  /// The oldest job is in flight from now on; it is of so many images. Precondition: has_work().
  void take(MonoTime now, std::uint32_t images);
  std::uint32_t front() const { return visible_.front(); }
  /// A job that was in flight comes back at the head: a worker that ends returns what it had not begun.
  void return_to_head(std::uint32_t job, std::uint32_t images, MonoTime now);
  /// A job that was in flight is removed, or comes back with add().
  void leave_flight(std::uint32_t images, MonoTime now);
  /// The same, at a later time; `at` never goes back.
  void leave_flight_later(std::uint32_t images, MonoTime at) { leaving_.push_back({at, images}); }

  std::uint64_t visible() const { return visible_images_; }
  std::uint64_t in_flight() const { return in_flight_images_; }

  /// What the service answers when it is asked for its counts: those of a while ago (as the constructor says, a minute
  /// at most, or `late` where that is more), each a little off when it is more than a few, as only some of its servers
  /// are asked.
  /// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueAttributes.html: counts are
  /// approximate, and reach consistency within a minute after senders stop.
  QueueDepth read(MonoTime now, Span late, Rng& rng);

 private:
  struct Counts {
    MonoTime at{};
    std::uint64_t visible = 0, in_flight = 0;
  };
  struct Leaving {
    MonoTime at{};
    std::uint32_t images = 0;
  };
  void record(MonoTime now);
  void note(MonoTime now);
  void let_leave(MonoTime now);
  std::uint64_t sampled(std::uint64_t count, Rng& rng) const;

  const double late_s_, off_;
  std::deque<Leaving> leaving_;  // earliest first
  std::deque<std::uint32_t> visible_;
  std::uint64_t visible_images_ = 0, in_flight_images_ = 0;
  std::deque<Counts> history_;  // oldest first; the last one is what holds now
};

}  // namespace imgrec::simulate
