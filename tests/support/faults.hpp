// Faults that a test injects into a fake: "fail the next N calls of this kind with that error".
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

#include "lib/base/clock.hpp"
#include "lib/base/result.hpp"

namespace imgrec::test {

/// before: nothing happened. after: it happened, but the answer was lost on the way back.
enum class FaultAt { before, after };

inline Error injected_error() {
  return {ErrorKind::transient, "injected", "A fault that the test asked for."};
}

/// Thread-safe. Call is the fake's enum of calls.
template <class Call>
class Faults {
 public:
  void fail_next(Call call, int count = 1, Error error = injected_error(), FaultAt at = FaultAt::before) {
    std::lock_guard lock(mutex_);
    for (int i = 0; i < count; ++i) planned_[{call, at}].push_back(error);
  }

  /// The next `count` elements of batches fail, each on its own.
  void fail_next_elements(Call call, int count = 1, Error error = injected_error()) {
    std::lock_guard lock(mutex_);
    for (int i = 0; i < count; ++i) elements_[call].push_back(error);
  }

  /// Every call fails from now on; nothing: they work again (what fail_next planned still holds).
  void set_outage(std::optional<Error> error) {
    std::lock_guard lock(mutex_);
    outage_ = std::move(error);
  }

  /// As a server that was suspended: from now on each call waits until its limits, and does nothing.
  void go_silent() {
    std::lock_guard lock(mutex_);
    silent_ = true;
  }

  /// Runs at the begin of each call, outside the fake's locks: it may block, and it may throw.
  void on_call(std::function<void(Call)> hook) {
    std::lock_guard lock(mutex_);
    hook_ = std::move(hook);
  }

  int calls(Call call) const {
    std::lock_guard lock(mutex_);
    const auto found = calls_.find(call);
    return found == calls_.end() ? 0 : found->second;
  }

  /// For the fake: counts the call, runs the hook, and tells whether the call has to fail before it did anything.
  std::optional<Error> enter(Call call) {
    std::function<void(Call)> hook;
    {
      std::lock_guard lock(mutex_);
      ++calls_[call];
      hook = hook_;
    }
    if (hook) hook(call);
    std::lock_guard lock(mutex_);
    if (outage_) return outage_;
    return take(planned_[{call, FaultAt::before}]);
  }

  /// The same for calls with limits.
  std::optional<Error> enter(Call call, Clock& clock, const CallLimits& limits) {
    if (auto error = enter(call)) return error;
    {
      std::lock_guard lock(mutex_);
      if (!silent_) return std::nullopt;
    }
    clock.sleep_until(limits.deadline.at, limits.stop);
    return limits.check(clock).error();
  }

  /// For the fake: whether the answer of a call that was carried out gets lost.
  std::optional<Error> leave(Call call) {
    std::lock_guard lock(mutex_);
    return take(planned_[{call, FaultAt::after}]);
  }

  /// For the fake: whether this element of a batch fails.
  std::optional<Error> element(Call call) {
    std::lock_guard lock(mutex_);
    return take(elements_[call]);
  }

 private:
  static std::optional<Error> take(std::deque<Error>& errors) {
    if (errors.empty()) return std::nullopt;
    Error error = std::move(errors.front());
    errors.pop_front();
    return error;
  }

  mutable std::mutex mutex_;
  std::map<std::pair<Call, FaultAt>, std::deque<Error>> planned_;
  std::map<Call, std::deque<Error>> elements_;
  std::map<Call, int> calls_;
  std::optional<Error> outage_;
  bool silent_ = false;
  std::function<void(Call)> hook_;
};

}  // namespace imgrec::test
