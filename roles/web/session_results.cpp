#include "roles/web/session_results.hpp"

namespace imgrec {

void SessionResults::record(const JobResult& result) {
  std::lock_guard lock(mutex_);
  if (!known_.insert(result.job).second) return;
  results_.push_back(result);
  if (results_.size() > results_max_) {
    known_.erase(results_.front().job);
    results_.pop_front();
  }
}

std::vector<JobResult> SessionResults::of(const SessionId& session) const {
  std::lock_guard lock(mutex_);
  std::vector<JobResult> found;
  for (const JobResult& result : results_) {
    if (result.session == session) found.push_back(result);
  }
  return found;
}

void SessionResults::forget(const SessionId& session) {
  std::lock_guard lock(mutex_);
  std::erase_if(results_, [&](const JobResult& result) {
    if (result.session != session) return false;
    known_.erase(result.job);
    return true;
  });
}

}  // namespace imgrec
