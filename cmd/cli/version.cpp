#include "cmd/cli/command.hpp"

namespace imgrec {

std::string_view version() {
  return IMGREC_VERSION;
}

}  // namespace imgrec
