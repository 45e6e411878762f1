#include "tests/support/fake_clock.hpp"

#include <iterator>

namespace imgrec::test {

FakeClock::FakeClock() : wall_(std::chrono::sys_days(std::chrono::year(2026) / 1 / 1)), mono_(Seconds(1'000'000)) {}

WallTime FakeClock::wall_now() const {
  std::lock_guard lock(mutex_);
  return wall_;
}

MonoTime FakeClock::mono_now() const {
  std::lock_guard lock(mutex_);
  return mono_;
}

bool FakeClock::sleep_until(MonoTime time, std::stop_token stop) {
  std::unique_lock lock(mutex_);
  const auto place = sleepers_.insert(time);
  changed_.notify_all();
  changed_.wait(lock, stop, [&] { return mono_ >= time; });
  sleepers_.erase(place);
  return !stop.stop_requested();
}

void FakeClock::advance(Millis duration) {
  std::lock_guard lock(mutex_);
  wall_ += duration;
  mono_ += duration;
  // Tests advance in many small steps: waking all sleepers at each, to find that none is due, took most of their time.
  if (!sleepers_.empty() && *sleepers_.begin() <= mono_) changed_.notify_all();
}

void FakeClock::shift_wall(Millis by) {
  std::lock_guard lock(mutex_);
  wall_ += by;
}

void FakeClock::wait_for_sleepers(int count) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return std::distance(sleepers_.upper_bound(mono_), sleepers_.end()) >= count; });
}

std::uint64_t SeededRng::next() {
  std::lock_guard lock(mutex_);
  std::uint64_t z = (state_ += 0x9E3779B97F4A7C15ULL);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
  return z ^ (z >> 31);
}

}  // namespace imgrec::test
