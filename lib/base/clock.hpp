// The clock is passed in: nothing above lib/base reads the time by itself, and no test sleeps.
#pragma once

#include <stop_token>
#include <string>
#include <string_view>

#include "lib/base/result.hpp"
#include "lib/base/units.hpp"

namespace imgrec {

/// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual WallTime wall_now() const = 0;
  virtual MonoTime mono_now() const = 0;
  /// Sleeps until `time` or until a stop is requested; true when the time was reached.
  virtual bool sleep_until(MonoTime time, std::stop_token stop) = 0;
  bool sleep_for(Millis duration, std::stop_token stop) { return sleep_until(mono_now() + duration, std::move(stop)); }
};

Clock& system_clock();

/// A point in time by which a call must have ended.
struct Deadline {
  MonoTime at;
  static Deadline in(const Clock& clock, Millis duration) { return {clock.mono_now() + duration}; }
  static constexpr Deadline never() { return {MonoTime::max()}; }
  /// Time left, never negative.
  Millis left(const Clock& clock) const;
};

constexpr Deadline earlier(Deadline a, Deadline b) {
  return a.at < b.at ? a : b;
}

/// How long a blocking call may take, and what ends it before that. The callee's own limits hold too: left out, they
/// alone do.
struct CallLimits {
  CallLimits() = default;
  CallLimits(Deadline by, std::stop_token on_stop = {}) : deadline(by), stop(std::move(on_stop)) {}
  CallLimits(std::stop_token on_stop) : stop(std::move(on_stop)) {}

  /// Errors: cancelled "cancelled" after a stop, transient "timeout" after the deadline.
  Result<void> check(const Clock& clock) const;
  /// The same, ending no later than `duration` from now.
  CallLimits at_most(const Clock& clock, Millis duration) const {
    return {earlier(deadline, Deadline::in(clock, duration)), stop};
  }

  Deadline deadline = Deadline::never();
  std::stop_token stop;
};

/// Milliseconds between two instants, with the fraction.
double elapsed_ms(MonoTime from, MonoTime to);

/// "2026-11-22T08:15:30.123Z" (RFC 3339, UTC, milliseconds).
std::string to_rfc3339(WallTime time);
/// Reads what to_rfc3339 writes, with or without the fraction; else ErrorKind::invalid, "bad_time".
Result<WallTime> parse_rfc3339(std::string_view text);

}  // namespace imgrec
