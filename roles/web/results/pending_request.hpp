// One HTTP request whose images are under way: collects their answers, ends exactly once.
#pragma once

#include <cstddef>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "lib/base/clock.hpp"
#include "lib/job/job.hpp"

namespace imgrec {

/// What is known of one image of a request; the order of the slots is the order in which the client sent them.
struct ImageSlot {
  std::string name;                 // as the client sent it, whatever its bytes
  JobId job;                        // empty: refused at the door
  bool queued = false;              // its request message is in the queue
  std::optional<JobResult> result;  // the worker's answer, labels or an error
  std::optional<Error> refused;     // it never came into the queue
  bool settled() const { return result || refused; }
};

enum class WaitEnd {
  answered,   // every image has its answer or was refused
  accepted,   // all are queued and the client does not wait (any longer)
  timed_out,  // the longest wait is over
  stopping,   // this server stops
  left,       // the client has left
};

/// Thread-safe. `done` runs once, in the thread that brings the last missing piece, without a lock held.
class PendingRequest {
 public:
  struct Options {
    MonoTime deadline{};
    /// At the deadline: true ends as `accepted`, as soon as all images are queued (a job id is only given out for what
    /// is in the queue); false ends as `timed_out`.
    bool accept_at_deadline = false;
  };
  using Done = std::move_only_function<void(const PendingRequest* self, WaitEnd, std::vector<ImageSlot>)>;

  PendingRequest(std::vector<ImageSlot> slots, const Options& options, Done done);

  MonoTime deadline() const { return options_.deadline; }
  bool accepts_at_deadline() const { return options_.accept_at_deadline; }
  bool ended() const;

  /// News of one image. All are ignored after the end; a second answer to an image is ignored.
  void queued(std::size_t index);
  void answer(std::size_t index, JobResult result);
  void refuse(std::size_t index, Error error);

  /// Refuses every image that is not settled.
  void refuse_all(const Error& error);

  /// Ends at once if everything is settled already (all refused at the door).
  void end_if_settled();
  void reach_deadline();
  void stop();
  /// The client has left; its images need not be classified.
  void leave();

 private:
  void settle(std::unique_lock<std::mutex> lock);
  void end(std::unique_lock<std::mutex> lock, WaitEnd how);

  const Options options_;
  mutable std::mutex mutex_;
  std::vector<ImageSlot> slots_;
  std::size_t open_ = 0;      // neither answered nor refused
  std::size_t unqueued_ = 0;  // of those, not yet in the queue
  bool accept_when_queued_ = false;
  bool ended_ = false;
  Done done_;
};

}  // namespace imgrec
