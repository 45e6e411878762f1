// The process's environment and what the kernel tells about this start of the machine: the only door to them outside
// cmd.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace imgrec {

/// Not safe against another thread that changes the environment; nothing of ours does once threads run.
std::optional<std::string> environment_variable(const std::string& name);

/// The home folder that the user database has for this process's user; empty where it has none.
std::string home_of_user();

/// Names the time since the machine's last start, in which MonoTime means the same to all processes. Empty where the
/// kernel does not tell.
std::string boot_id();

/// "NAME=value" of all variables.
std::vector<std::string> environment_of_this_process();

/// Takes a variable out, so that children do not get it. Before threads start.
void remove_environment_variable(const std::string& name);

}  // namespace imgrec
