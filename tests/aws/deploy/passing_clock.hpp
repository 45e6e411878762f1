// A clock for code that sleeps by itself: no thread has to move it.
#pragma once

#include <algorithm>
#include <functional>

#include "lib/base/clock.hpp"

namespace imgrec::test {

// Sleeping takes no time here, and passes it.
class PassingClock final : public Clock {
 public:
  WallTime wall_now() const override { return {}; }
  MonoTime mono_now() const override { return now_; }
  bool sleep_until(MonoTime time, std::stop_token stop) override {
    now_ = std::max(now_, time);
    ++sleeps;
    if (sleeps == stop_at) on_sleep();
    return !stop.stop_requested();
  }

  int sleeps = 0, stop_at = 0;
  std::function<void()> on_sleep;

 private:
  MonoTime now_{};
};

}  // namespace imgrec::test
