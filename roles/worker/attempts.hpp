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
  Attempts(ObjectStore& store, Dependency& storing, const JobId& job, int attempts_max)
      : store_(store), storing_(storing), job_(job), max_(attempts_max) {}

  /// Counts an attempt; false when attempts_max were counted before: the image is not to be tried again.
  Result<bool> begin(const std::stop_token& stop);
  /// The attempt that was begun says nothing about the image: a stop, an outage. Best effort: where the store fails, it
  /// stays counted.
  void undo();
  /// The image has a result: forgets all attempts. Best effort; what remains is removed with old results.
  void forget();

 private:
  ObjectStore& store_;
  Dependency& storing_;
  const JobId job_;
  const int max_;
  int begun_ = 0;  // the number of the attempt that was counted here; 0: none
};

}  // namespace imgrec
