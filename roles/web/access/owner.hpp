// Whose a job is: the client's that sent it, as far as it said who it is.
#pragma once

#include <optional>

#include "lib/job/job.hpp"

namespace imgrec {

/// A digest of the name that owner_of() (caller.hpp) gives to a client's key and session; empty when it named neither:
/// then whoever knows a job's id may ask for the job. Another key or another session is another owner.
OwnerId make_owner_id(const std::optional<SessionId>& name);

}  // namespace imgrec
