// The long-running commands, and the whole command line as a function: for main() and for test programs that run the
// same worker with hooks of their own.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "lib/config/config.hpp"
#include "lib/config/load.hpp"
#include "roles/worker/worker.hpp"

namespace imgrec {

struct WorkerHooks {
  std::function<void(JobStep)> on_step = [](JobStep) {};
};

/// Each runs until SIGINT or SIGTERM, then drains, and returns the exit code: 0 after SIGTERM, 130 after SIGINT.
/// The Config is a resolved one (cmd/platform/resolve.hpp).
int run_web_command(const Config& config);
int run_worker_command(const Config& config, const WorkerHooks& hooks);
int run_controller_command(const Config& config);
int run_local_command(const Config& config);

/// The command line without the program's name: `return run_imgrec(arguments, environment, {.on_step = …});`
int run_imgrec(std::vector<std::string> arguments, const Environment& environment, const WorkerHooks& hooks = {});

}  // namespace imgrec
