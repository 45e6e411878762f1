#include <cstdio>

#include "cmd/cli/command.hpp"
#include "cmd/cli/exit_code.hpp"

namespace imgrec {

std::string_view version() {
  return IMGREC_VERSION;
}

int run_version(const Invocation&) {
  std::printf("imgrec %s\n", IMGREC_VERSION);
  return kExitOk;
}

}  // namespace imgrec
