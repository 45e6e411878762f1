#include "roles/web/jobs/final_states.hpp"

#include <utility>

namespace imgrec {

JobEnd end_of(const JobResult& result) {
  JobEnd end{.state = state_of(result),
             .name = result.name,
             .label = {},
             .error_code = {},
             .error_title = {},
             .completed_at = result.completed_at};
  if (result.error) {
    end.error_code = result.error->code;
    end.error_title = result.error->title;
  } else if (!result.labels.empty()) {
    end.label = result.labels.front().label;
    end.score = result.labels.front().score;
  }
  return end;
}

void FinalStates::record(const JobResult& result) {
  JobEnd end = end_of(result);
  if (end.state != JobState::done && end.state != JobState::cancelled) return;
  std::lock_guard lock(mutex_);
  const auto [at, is_new] = ends_.try_emplace(result.job);
  if (!is_new) return;
  at->second = {.end = std::move(end), .place = order_.insert(order_.end(), result.job)};
  if (ends_.size() <= ends_max_) return;
  ends_.erase(order_.front());
  order_.pop_front();
}

std::optional<JobEnd> FinalStates::find(const JobId& job) const {
  std::lock_guard lock(mutex_);
  const auto found = ends_.find(job);
  if (found == ends_.end()) return std::nullopt;
  return found->second.end;
}

}  // namespace imgrec
