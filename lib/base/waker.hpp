// Sleeping on a Clock that another thread may cut short.
#pragma once

#include <mutex>
#include <stop_token>
#include <utility>

#include "lib/base/clock.hpp"

namespace imgrec {

/// One sleeper, any number of wakers. A wake() before the sleep is not lost.
class Waker {
 public:
  void sleep_until(Clock& clock, MonoTime time, std::stop_token stop) {
    std::stop_source cut_short;
    {
      std::lock_guard lock(mutex_);
      if (std::exchange(woken_, false)) return;
      current_ = cut_short;
    }
    {
      const std::stop_callback forward(stop, [&] { cut_short.request_stop(); });
      clock.sleep_until(time, cut_short.get_token());
    }
    std::lock_guard lock(mutex_);
    current_ = std::stop_source(std::nostopstate);
    woken_ = false;
  }

  void wake() {
    std::stop_source sleeper{std::nostopstate};
    {
      std::lock_guard lock(mutex_);
      woken_ = true;
      sleeper = current_;
    }
    sleeper.request_stop();
  }

 private:
  std::mutex mutex_;
  bool woken_ = false;
  std::stop_source current_{std::nostopstate};
};

}  // namespace imgrec
