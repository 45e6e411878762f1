// What the process answers to its caller; `imgrec --help` lists them.
#pragma once

#include "lib/base/result.hpp"

namespace imgrec {

enum ExitCode : int {
  kExitOk = 0,
  kExitItemFailed = 1,
  kExitUsage = 2,
  kExitUnreachable = 3,
  kExitModelUnusable = 4,   // of `imgrec worker`: its model cannot be loaded
  kExitConditionHolds = 4,  // of `imgrec load`: a condition of --fail-if holds
  kExitInterrupted = 130,
};

/// Prints "imgrec: message" on stderr and returns the exit code of that kind of error: usage for what a person has to
/// change (invalid, denied, not_found), unreachable for what may work later, interrupted, or item failed for a bug.
int report(const Error& error);

/// Prints "imgrec: message" on stderr; control characters are shown escaped.
void complain(std::string_view message);

}  // namespace imgrec
