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
  /// Time left, never negative.
  Millis left(const Clock& clock) const;
};

/// Milliseconds between two instants, with the fraction.
double elapsed_ms(MonoTime from, MonoTime to);

/// "2026-11-22T08:15:30.123Z" (RFC 3339, UTC, milliseconds).
std::string to_rfc3339(WallTime time);
/// Reads what to_rfc3339 writes, with or without the fraction; else ErrorKind::invalid, "bad_time".
Result<WallTime> parse_rfc3339(std::string_view text);

}  // namespace imgrec
