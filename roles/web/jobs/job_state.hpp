// What can be said of a job in one word.
#pragma once

#include <optional>
#include <string_view>

#include "lib/job/job.hpp"

namespace imgrec {

enum class JobState {
  queued,     // no worker has it yet
  running,    // a worker has it
  done,       // it has labels
  failed,     // it has an error
  cancelled,  // a client cancelled it, or left before its answer
  expired,    // no worker was in time
};

/// "queued" …
std::string_view to_string(JobState state);
std::optional<JobState> parse_job_state(std::string_view text);

/// done, failed, cancelled or expired.
JobState state_of(const JobResult& result);

}  // namespace imgrec
