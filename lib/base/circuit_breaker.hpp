// Keeps callers from a dependency (a store, a queue) that fails: while it does, one call at a time tries it, with
// growing pauses, and everybody else waits for the outcome.
#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "lib/base/backoff.hpp"
#include "lib/base/clock.hpp"
#include "lib/base/outage_log.hpp"

namespace imgrec {

/// Thread-safe; never blocks. It is closed while the dependency works and open while it does not. Whoever was admitted
/// has to tell the outcome by succeeded(), failed() or withdrawn(). An outage is logged when it begins and when it
/// ends.
class CircuitBreaker {
 public:
  /// what: as the log line begins ("storing images").
  CircuitBreaker(std::string what, Clock& clock, Rng& rng, const BackoffOptions& backoff)
      : clock_(clock), backoff_(backoff, rng), log_(std::move(what), clock) {}

  /// Returns true when a call may be made now: the dependency works, or the time for the next probe has come and no
  /// other probe is under way.
  bool admits() {
    std::lock_guard lock(mutex_);
    if (!outage_) return true;
    if (probing_ || clock_.mono_now() < next_probe_) return false;
    return probing_ = true;
  }

  /// Returns true when this ended an outage: whoever waited may go on.
  bool succeeded() {
    std::lock_guard lock(mutex_);
    last_success_ = clock_.mono_now();
    backoff_.reset();
    probing_ = false;
    log_.succeeded();
    return std::exchange(outage_, std::nullopt).has_value();
  }

  void failed(const Error& error) {
    std::lock_guard lock(mutex_);
    log_.failed(error);
    const MonoTime now = clock_.mono_now();
    // Of calls that were under way together only the first opens it; the others tell nothing new.
    if (outage_ && !probing_) return;
    if (!outage_) outage_ = Outage{.since = now};
    outage_->failed_at = now;
    outage_->error = error;
    next_probe_ = now + backoff_.next();
    probing_ = false;
  }

  /// The admitted call was not made after all.
  void withdrawn() {
    std::lock_guard lock(mutex_);
    probing_ = false;
  }

  struct Outage {
    MonoTime since{};
    MonoTime failed_at{};  // the latest failure, and its error
    Error error{};
  };
  /// Nothing while the dependency works.
  std::optional<Outage> outage() const {
    std::lock_guard lock(mutex_);
    return outage_;
  }

  /// When the next probe may be made; nothing while the dependency works or a probe is under way.
  std::optional<MonoTime> next_probe() const {
    std::lock_guard lock(mutex_);
    if (!outage_ || probing_) return std::nullopt;
    return next_probe_;
  }

  /// Nothing before the first success.
  std::optional<MonoTime> last_success() const {
    std::lock_guard lock(mutex_);
    return last_success_;
  }

 private:
  Clock& clock_;
  mutable std::mutex mutex_;
  Backoff backoff_;
  OutageLog log_;
  std::optional<Outage> outage_;
  std::optional<MonoTime> last_success_;
  MonoTime next_probe_{};
  bool probing_ = false;
};

}  // namespace imgrec
