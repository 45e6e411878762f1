// The everyday run takes a part of what is large, `./dev test --long` all of it.
#pragma once

#include "lib/base/environment.hpp"

namespace imgrec::test {

inline bool long_run() {
  return environment_variable("IMGREC_TEST_LONG").has_value();
}

/// An everyday run of a build with a sanitizer, which is five to ten times as slow. Tests that repeat one thing with
/// other numbers may take a part of them there when they run whole in the release build (label release-too,
/// cmake/imgrec.cmake) or, where that part says the same, in the long run.
inline bool shortened_run() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return !long_run();
#else
  return false;
#endif
}

}  // namespace imgrec::test
