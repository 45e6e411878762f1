// The latest results of each client session, in memory: GET /results. The store has all of them.
#pragma once

#include <deque>
#include <mutex>
#include <unordered_set>
#include <vector>

#include "lib/job/job.hpp"

namespace imgrec {

/// Thread-safe. Keeps the newest results_max of all sessions together.
class SessionResults {
 public:
  explicit SessionResults(std::size_t results_max) : results_max_(results_max) {}

  /// A job known already is left as it is.
  void record(const JobResult& result);
  /// Oldest first.
  std::vector<JobResult> of(const SessionId& session) const;
  void forget(const SessionId& session);

 private:
  const std::size_t results_max_;
  mutable std::mutex mutex_;
  std::deque<JobResult> results_;
  std::unordered_set<JobId> known_;
};

}  // namespace imgrec
