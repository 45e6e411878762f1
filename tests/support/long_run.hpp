// The everyday run takes a part of what is large, `./dev test --long` all of it.
#pragma once

#include "lib/base/environment.hpp"

namespace imgrec::test {

inline bool long_run() {
  return environment_variable("IMGREC_TEST_LONG").has_value();
}

}  // namespace imgrec::test
