// What `imgrec bench` measures of a process of its own: `imgrec classify`, from its start to its first label, and the
// memory that it takes.
#pragma once

#include <string>
#include <vector>

#include "lib/base/clock.hpp"
#include "lib/base/result.hpp"
#include "lib/config/config.hpp"

namespace imgrec {

struct ChildRun {
  double first_label_ms = 0;  // from before the process was made to its first line of output
  double peak_bytes = 0;      // resident; as last seen before the process ended
};

struct ChildOptions {
  std::string engine, precision;
  std::string state_dir;  // where a compiled model is kept; it is there
  int threads = 1;
};

/// Errors: transient "child_failed" with what the process said.
Result<ChildRun> run_classify_child(const Config& config, const ChildOptions& options,
                                    const std::vector<std::string>& files, Clock& clock);

}  // namespace imgrec
