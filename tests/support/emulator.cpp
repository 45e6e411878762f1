#include "tests/support/emulator.hpp"

#include <cstdlib>

namespace imgrec::test {

std::optional<std::string> emulator() {
  const char* command = std::getenv("IMGREC_TEST_EMULATOR");
  return command != nullptr ? std::optional<std::string>(command) : std::nullopt;
}

}  // namespace imgrec::test
