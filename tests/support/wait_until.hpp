// Waiting in real time for what another thread does.
#pragma once

#include <chrono>
#include <thread>

#include "lib/base/clock.hpp"

namespace imgrec::test {

/// Whether the condition holds within the time; asks it every 20 microseconds or so. Asleep in between, not spinning:
/// the threads that are waited for need the processors.
template <class Condition>
bool wait_until(Condition condition, std::chrono::steady_clock::duration at_most = Seconds(20)) {
  const auto end = std::chrono::steady_clock::now() + at_most;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(std::chrono::microseconds(20));
  }
  return true;
}

}  // namespace imgrec::test
