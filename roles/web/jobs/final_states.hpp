// The ends of the latest jobs, in memory: what GET /v1/jobs tells of each, without asking the store.
#pragma once

#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "roles/web/jobs/job_state.hpp"

namespace imgrec {

struct JobEnd {
  JobState state = JobState::done;
  std::string name;
  std::string label;  // the best; empty where there are none
  double score = 0;
  std::string error_code, error_title;  // empty where there are labels
  WallTime completed_at{};
};

JobEnd end_of(const JobResult& result);

/// Thread-safe. Keeps the latest ends_max. Only ends that no later result replaces: labels, and what was cancelled.
class FinalStates {
 public:
  explicit FinalStates(std::size_t ends_max) : ends_max_(ends_max) {}

  void record(const JobResult& result);
  std::optional<JobEnd> find(const JobId& job) const;

 private:
  struct Entry {
    JobEnd end;
    std::list<JobId>::iterator place;
  };
  const std::size_t ends_max_;
  mutable std::mutex mutex_;
  std::unordered_map<JobId, Entry> ends_;
  std::list<JobId> order_;  // oldest first
};

}  // namespace imgrec
