#pragma once

#include "lib/base/result.hpp"
#include "roles/worker/worker.hpp"

namespace imgrec {

/// Whether a worker can run with them. Errors: invalid "bad_worker_settings", which names the setting and its limits.
Result<void> check_settings(const WorkerSettings& settings);

}  // namespace imgrec
