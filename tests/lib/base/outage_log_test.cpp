#include "lib/base/outage_log.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/fake_clock.hpp"

namespace imgrec::outage_log_test {
namespace {

TEST(OutageLog, OneLineWhenItBeginsAndOneWhenItIsOver) {
  test::FakeClock clock;
  OutageLog outage("storing results", clock);
  testing::internal::CaptureStderr();
  outage.succeeded();
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "") << "nothing to say";

  testing::internal::CaptureStderr();
  for (int i = 0; i < 7; ++i) {
    outage.failed({ErrorKind::transient, "disk_full", "The disk is full."});
    clock.advance(Millis(100));
  }
  const std::string begin = testing::internal::GetCapturedStderr();
  EXPECT_EQ(std::ranges::count(begin, '\n'), 1) << begin;
  EXPECT_THAT(begin, testing::HasSubstr("storing results fails"));
  EXPECT_THAT(begin, testing::HasSubstr("disk_full"));

  testing::internal::CaptureStderr();
  outage.succeeded();
  outage.succeeded();
  const std::string end = testing::internal::GetCapturedStderr();
  EXPECT_EQ(std::ranges::count(end, '\n'), 1) << end;
  EXPECT_THAT(end, testing::HasSubstr("storing results works again"));
  EXPECT_THAT(end, testing::HasSubstr("failures=7"));
  EXPECT_THAT(end, testing::HasSubstr("after_ms=700"));
}

}  // namespace
}  // namespace imgrec::outage_log_test
