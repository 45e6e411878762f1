// Starts a child process that inherits nothing by accident: /dev/null as standard input, our standard output and error,
// and exactly two pipes.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

#include "lib/base/file.hpp"
#include "lib/base/result.hpp"

namespace imgrec {

/// The parent's side. The child's side is in lib/local/child_guard.hpp.
struct Child {
  pid_t pid = 0;
  Fd lifeline;  // never written: the child sees its end when this process is gone
  Fd ready;     // not blocking; a byte comes when the child works
};

struct ChildCommand {
  std::filesystem::path executable;
  std::string name{};                    // argv[0], what `ps` shows; empty: the executable
  std::vector<std::string> arguments;    // after argv[0]
  std::vector<std::string> environment;  // "NAME=value", all of it
};

/// A process group of its own (a Ctrl-C at the terminal is for the parent, which then stops its children in order), no
/// signal blocked or ignored. Adds IMGREC_PARENT_FD and IMGREC_READY_FD to the environment.
/// Errors: invalid "launch_failed" (no such program, not executable), transient "launch_failed" (no process, no
/// memory).
Result<Child> spawn_child(ChildCommand command);

}  // namespace imgrec
