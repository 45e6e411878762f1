// Why no worker could start: one small object in the result store, for the web tier's readiness and answers.
//
// A worker whose model cannot be loaded writes it before it ends; a worker that becomes ready removes it. Workers that
// were ready before do not, so it says "no worker can start", not "no worker works": a reader that still gets answers
// may ignore it.
#pragma once

#include <string>
#include <string_view>

#include "lib/base/ids.hpp"
#include "lib/base/result.hpp"
#include "lib/base/units.hpp"

namespace imgrec {

struct WorkerStartFailure {
  std::string code;     // of the error ("model_damaged")
  std::string detail;   // what happened and what to do, in a sentence for people
  std::string worker;   // who could not start
  std::string version;  // of imgrec
  WallTime at{};
  bool operator==(const WorkerStartFailure&) const = default;
};

/// "status/worker-start".
ObjectKey worker_start_key();

std::string to_json(const WorkerStartFailure& failure);
/// Errors: invalid "bad_worker_start"; transient "other_version" (lib/job/other_version.hpp).
Result<WorkerStartFailure> parse_worker_start(std::string_view json);

}  // namespace imgrec
