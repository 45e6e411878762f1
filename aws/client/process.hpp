// A ProcessRunner for credential_process.
#pragma once

#include "aws/client/credentials.hpp"

namespace imgrec::aws {

/// /bin/sh -c COMMAND with this process's environment; its stderr is ours, so that what it says is seen. Ended (SIGKILL
/// to its process group) after a minute or 64 KiB. Errors: transient "credential_process_failed".
Result<ProcessOutput> run_shell(const std::string& command);

}  // namespace imgrec::aws
