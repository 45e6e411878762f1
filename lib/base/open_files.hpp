// How many files and connections this process may have open at once.
#pragma once

#include <cstdint>

namespace imgrec {

/// The soft limit (RLIMIT_NOFILE), which the system enforces.
std::uint64_t open_files_limit();

/// Raises the soft limit to the hard one and returns it. Systems keep the soft one at 1024 for programs that use
/// select(2), which this one does not. Where the system refuses, the limit stays as it was. Thread-safe.
std::uint64_t raise_open_files_limit();

}  // namespace imgrec
