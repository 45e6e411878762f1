// How often a suspect was tried: an image at which a worker may have died before. Kept in the result store, as neither
// the dead worker nor the queue can tell (a queue counts deliveries, also of messages that were only held).
//
// Attempt N of a job is the object attempts/JOB.N, made with only_if_absent: so workers that race count each attempt
// once, and counting the first, by far the most frequent, takes one call.
#pragma once

#include <stop_token>

#include "lib/base/ids.hpp"
#include "lib/ports/object_store.hpp"
#include "roles/worker/dependency.hpp"

namespace imgrec {

/// Not thread-safe: belongs to one job. Calls block during an outage as Dependency says.
class Attempts {
 public:
  struct Ports {
    ObjectStore& store;
    Dependency& storing;
    Clock& clock;
  };
  Attempts(const Ports& ports, const JobId& job, int attempts_max) : ports_(ports), job_(job), max_(attempts_max) {}

  /// Counts an attempt; false when attempts_max were counted before: the image is not to be tried again.
  Result<bool> begin(const std::stop_token& stop);
  /// The attempt that was begun says nothing about the image: a stop, an outage. Best effort, also during a
  /// stop: where the store fails, or does not answer within 2 s, it stays counted.
  void undo();
  /// The image has a result: forgets all attempts. Best effort, within 2 s; what remains is removed with old results.
  void forget();

 private:
  CallLimits limits() const;

  const Ports ports_;
  const JobId job_;
  const int max_;
  int begun_ = 0;  // the number of the attempt that was counted here; 0: none
};

}  // namespace imgrec
