#include "lib/base/clock.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "tests/support/fake_clock.hpp"

namespace imgrec::clock_test {
namespace {

TEST(Rfc3339, WritesAndReadsTheSameInstant) {
  const WallTime time = WallTime(std::chrono::sys_days(std::chrono::year(2024) / 2 / 29)) + std::chrono::hours(23) +
                        std::chrono::minutes(59) + Seconds(58) + Millis(7);
  EXPECT_EQ(to_rfc3339(time), "2024-02-29T23:59:58.007Z");
  EXPECT_EQ(parse_rfc3339("2024-02-29T23:59:58.007Z"), time);
  EXPECT_EQ(parse_rfc3339("2024-02-29T23:59:58Z"), time - Millis(7));
}

TEST(Rfc3339, RefusesWhatIsNoInstant) {
  for (const char* text :
       {"", "2024-02-30T00:00:00Z", "2024-02-29T24:00:00Z", "2024-02-29T00:00:00", "2024-02-29T00:00:00.1Z",
        "2024-02-29T00:00:00.abcZ", "2024-02-29T00:00:00Z ", "yesterday"}) {
    EXPECT_FALSE(parse_rfc3339(text)) << text;
  }
}

TEST(FakeClock, WakesASleeperOnlyWhenItsTimeCame) {
  test::FakeClock clock;
  std::atomic<bool> awake = false;
  std::jthread sleeper([&](std::stop_token stop) { awake = clock.sleep_for(Millis(100), stop); });
  clock.wait_for_sleepers(1);
  clock.advance(Millis(99));
  EXPECT_FALSE(awake);
  clock.advance(Millis(1));
  sleeper.join();
  EXPECT_TRUE(awake);
}

TEST(SystemClock, AStopEndsTheSleep) {
  std::stop_source stop;
  stop.request_stop();
  EXPECT_FALSE(system_clock().sleep_for(std::chrono::hours(1), stop.get_token()));
}

TEST(Deadline, IsNeverNegative) {
  test::FakeClock clock;
  const Deadline deadline = Deadline::in(clock, Millis(50));
  EXPECT_EQ(deadline.left(clock), Millis(50));
  clock.advance(Millis(80));
  EXPECT_EQ(deadline.left(clock), Millis(0));
}

}  // namespace
}  // namespace imgrec::clock_test
