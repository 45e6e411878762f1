// The whole command line as a function: for main() and for test programs that run the same worker with hooks of their
// own.
#pragma once

#include <string>
#include <vector>

#include "cmd/commands/commands.hpp"
#include "lib/config/load.hpp"

namespace imgrec {

/// In the order of `imgrec --help`.
std::vector<Command> commands(const WorkerHooks& hooks);

/// The environment variables that this process was started with.
Environment process_environment();

/// The command line without the program's name: `return run_imgrec(arguments, environment, {.on_step = …});`
int run_imgrec(std::vector<std::string> arguments, const Environment& environment, const WorkerHooks& hooks = {});

}  // namespace imgrec
