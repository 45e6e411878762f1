#include "roles/web/jobs/job_state.hpp"

#include <array>
#include <utility>

namespace imgrec {
namespace {

constexpr std::array<std::pair<JobState, std::string_view>, 6> kWords{{
    {JobState::queued, "queued"},
    {JobState::running, "running"},
    {JobState::done, "done"},
    {JobState::failed, "failed"},
    {JobState::cancelled, "cancelled"},
    {JobState::expired, "expired"},
}};

}  // namespace

std::string_view to_string(JobState state) {
  for (const auto& [known, word] : kWords) {
    if (known == state) return word;
  }
  return "unknown";
}

std::optional<JobState> parse_job_state(std::string_view text) {
  for (const auto& [state, word] : kWords) {
    if (word == text) return state;
  }
  return std::nullopt;
}

JobState state_of(const JobResult& result) {
  if (!result.error) return JobState::done;
  if (result.error->code == kCancelledCode) return JobState::cancelled;
  return result.error->code == "expired" ? JobState::expired : JobState::failed;
}

}  // namespace imgrec
