// How far a job has come that has no answer yet: what the request queue's depth and this node's own jobs tell.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>

#include "lib/base/clock.hpp"
#include "lib/ports/message_queue.hpp"
#include "roles/web/jobs/job_state.hpp"

namespace imgrec {

struct QueuePlace {
  JobState state = JobState::queued;         // or running
  std::optional<std::uint64_t> place;        // about; 1: next. Nothing: not known
  std::optional<std::uint64_t> queue_depth;  // images that wait for a worker, of all nodes. Nothing: not known
};

/// What the depth says of a job of this node, which sent `sent_after` more after it that are not answered either.
/// Messages leave the queue about in the order sent: so the visible ones are the latest, and a job with as many or more
/// behind it is with a worker. With several nodes the place is further back than told, by what the others sent.
QueuePlace place_of(const QueueDepth& depth, std::uint64_t sent_after);

/// Thread-safe. Reads the depth once in a while, however many ask.
class QueueView {
 public:
  struct Options {
    Millis valid{2'000};  // a reading is used so long
    Millis read_timeout{2'000};
  };
  QueueView(MessageQueue& requests, Clock& clock, std::stop_token abort) : QueueView(requests, clock, abort, {}) {}
  QueueView(MessageQueue& requests, Clock& clock, std::stop_token abort, const Options& options)
      : requests_(requests), clock_(clock), abort_(std::move(abort)), options_(options) {}

  /// sent_after: as above; nothing for a job of another node. May block for one call of the queue.
  QueuePlace place(const JobId& job, std::optional<std::uint64_t> sent_after);

 private:
  struct Reading {
    QueueDepth depth;
    MonoTime at{};
    WallTime wall{};
  };
  std::optional<Reading> reading();

  MessageQueue& requests_;
  Clock& clock_;
  const std::stop_token abort_;
  const Options options_;
  std::mutex mutex_;
  std::optional<Reading> last_;
  MonoTime tried_at_ = MonoTime::min();
};

}  // namespace imgrec
