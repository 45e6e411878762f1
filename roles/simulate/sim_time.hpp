// Time of the simulation: an instant is a MonoTime, as the controller's code wants it, and begins at kBegin.
#pragma once

#include <chrono>

#include "lib/base/units.hpp"

namespace imgrec::simulate {

using Span = MonoTime::duration;

/// Not the epoch, so that no code takes the first instant for "never".
constexpr MonoTime kBegin{std::chrono::hours(24)};

constexpr Span from_seconds(double seconds) {
  return std::chrono::duration_cast<Span>(std::chrono::duration<double>(seconds));
}
constexpr double in_seconds(Span span) {
  return std::chrono::duration<double>(span).count();
}
/// Seconds since the simulation's begin.
constexpr double since_begin(MonoTime at) {
  return in_seconds(at - kBegin);
}
/// The same instant on the wall clock: the simulation begins at 2026-01-01T00:00:00Z.
constexpr WallTime wall_time(MonoTime at) {
  return WallTime(std::chrono::sys_days(std::chrono::year(2026) / 1 / 1)) +
         std::chrono::duration_cast<Millis>(at - kBegin);
}

}  // namespace imgrec::simulate
