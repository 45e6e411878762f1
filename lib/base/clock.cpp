#include "lib/base/clock.hpp"

#include <condition_variable>
#include <cstdio>
#include <mutex>

namespace imgrec {
namespace {

class SystemClock final : public Clock {
 public:
  WallTime wall_now() const override { return std::chrono::floor<Millis>(std::chrono::system_clock::now()); }
  MonoTime mono_now() const override { return std::chrono::steady_clock::now(); }
  bool sleep_until(MonoTime time, std::stop_token stop) override {
    std::mutex mutex;
    std::condition_variable_any wake;
    std::unique_lock lock(mutex);
    wake.wait_until(lock, stop, time, [] { return false; });
    return !stop.stop_requested();
  }
};

}  // namespace

Clock& system_clock() {
  static SystemClock clock;
  return clock;
}

Millis Deadline::left(const Clock& clock) const {
  const MonoTime now = clock.mono_now();
  return at <= now ? Millis(0) : std::chrono::ceil<Millis>(at - now);
}

Result<void> CallLimits::check(const Clock& clock) const {
  if (stop.stop_requested()) return fail(ErrorKind::cancelled, "cancelled", "The call was stopped.");
  if (deadline.left(clock) == Millis(0)) return fail(ErrorKind::transient, "timeout", "The deadline has passed.");
  return {};
}

double elapsed_ms(MonoTime from, MonoTime to) {
  return std::chrono::duration<double, std::milli>(to - from).count();
}

std::string to_rfc3339(WallTime time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(time - day);
  char text[64];
  std::snprintf(text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02d.%03dZ", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                static_cast<int>(clock.seconds().count()), static_cast<int>(clock.subseconds().count()));
  return text;
}

Result<WallTime> parse_rfc3339(std::string_view text) {
  const auto bad = [&] { return fail(ErrorKind::invalid, "bad_time", "Not a time like 2026-11-22T08:15:30.123Z."); };
  const std::string copy(text);
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, millis = 0, used = 0;
  if (copy.size() > 32 || std::sscanf(copy.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d%n", &year, &month, &day, &hour, &minute,
                                      &second, &used) != 6) {
    return bad();
  }
  std::string_view rest = text.substr(static_cast<std::size_t>(used));
  if (rest.starts_with('.')) {
    if (rest.size() < 4) return bad();
    for (int i = 1; i <= 3; ++i) {
      if (rest[static_cast<std::size_t>(i)] < '0' || rest[static_cast<std::size_t>(i)] > '9') return bad();
      millis = 10 * millis + (rest[static_cast<std::size_t>(i)] - '0');
    }
    rest.remove_prefix(4);
  }
  const std::chrono::year_month_day date(std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day)));
  if (rest != "Z" || !date.ok() || hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60) {
    return bad();
  }
  return WallTime(std::chrono::sys_days(date)) + std::chrono::hours(hour) + std::chrono::minutes(minute) +
         Seconds(second) + Millis(millis);
}

}  // namespace imgrec
