// Tells the rest of the service why this worker cannot start, and takes that back (lib/job/worker_start.hpp).
#pragma once

#include <stop_token>
#include <string>

#include "lib/base/clock.hpp"
#include "lib/base/result.hpp"
#include "lib/ports/object_store.hpp"

namespace imgrec {

struct StartReportPorts {
  ObjectStore& results;
  Clock& clock;
};

/// Writes status/worker-start in place of what an earlier worker wrote, and one log line with what to do: a short
/// one where an earlier worker wrote the same within ten minutes. Best effort, within 10 s a call or until a stop:
/// where the store fails, that is logged too.
void report_start_failure(const StartReportPorts& ports, const std::string& worker, const std::string& version,
                          const Error& error, const std::stop_token& stop);

/// A worker is ready: removes status/worker-start, whoever wrote it. Best effort, within 10 s or until a stop; its
/// readers ignore it after two minutes anyway.
void withdraw_start_failure(const StartReportPorts& ports, const std::stop_token& stop);

}  // namespace imgrec
