// Time that moves only when the test says so.
#pragma once

#include <condition_variable>
#include <mutex>
#include <set>

#include "lib/base/clock.hpp"
#include "lib/base/rng.hpp"

namespace imgrec::test {

/// Thread-safe. Begins at 2026-01-01T00:00:00Z. A sleeper wakes when advance() passes its time.
class FakeClock final : public Clock {
 public:
  FakeClock();
  WallTime wall_now() const override;
  MonoTime mono_now() const override;
  bool sleep_until(MonoTime time, std::stop_token stop) override;
  void advance(Millis duration);
  /// Somebody sets the wall clock: no time passes.
  void shift_wall(Millis by);
  /// Blocks (in real time) until that many threads sleep on this clock, each until a time that has not come yet: then
  /// whatever the last advance() woke has done its work, and the next one wakes exactly those.
  void wait_for_sleepers(int count);

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable_any changed_;
  WallTime wall_;
  MonoTime mono_{};
  std::multiset<MonoTime> sleepers_;  // when each wakes
};

/// Reproducible: splitmix64.
class SeededRng final : public Rng {
 public:
  explicit SeededRng(std::uint64_t seed = 1) : state_(seed) {}
  std::uint64_t next() override;

 private:
  std::mutex mutex_;
  std::uint64_t state_;
};

}  // namespace imgrec::test
