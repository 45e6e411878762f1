// Deletes what is older than the retention, so that a state folder does not grow for ever.
#pragma once

#include <stop_token>

#include "lib/base/clock.hpp"
#include "lib/base/result.hpp"
#include "lib/ports/object_store.hpp"

namespace imgrec {

struct JanitorOptions {
  Seconds retention{0};  // 0: nothing is ever deleted
  Millis pause{100};     // between pages of objects: deleting must not hold up the service
};

/// One sweep over inputs and results. Returns how many objects were deleted.
Result<std::uint64_t> sweep_old_objects(ObjectStore& store, const JanitorOptions& options, Clock& clock,
                                        std::stop_token stop);

/// Sweeps until a stop is requested: at once, then every tenth of the retention, at least hourly. Errors are logged.
void run_janitor(ObjectStore& store, const JanitorOptions& options, Clock& clock, std::stop_token stop);

}  // namespace imgrec
