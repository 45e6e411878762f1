// From words to a command: parses a command line by the tables of commands and settings, and runs the command.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "cmd/cli/command.hpp"

namespace imgrec {

struct CommandTable {
  std::span<const Command> commands;
  /// Fills in what depends on the platform and on this machine, once file, environment and flags have been read.
  std::function<Result<void>(LoadedConfig&, const Environment&)> finish_config;

  /// Null when there is none of that name.
  const Command* find(std::string_view name) const;
};

/// The command line without the program's name. Returns the exit code.
int run_command_line(const CommandTable& table, std::vector<std::string> arguments, const Environment& environment);

}  // namespace imgrec
