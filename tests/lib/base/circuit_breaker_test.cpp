#include "lib/base/circuit_breaker.hpp"

#include <gtest/gtest.h>

#include "tests/support/fake_clock.hpp"

namespace imgrec::circuit_breaker_test {
namespace {

using namespace std::chrono_literals;

const Error kDown{ErrorKind::transient, "down", "It does not work."};

struct CircuitBreakerTest : testing::Test {
  test::FakeClock clock;
  test::SeededRng rng;
  CircuitBreaker breaker{"storing images", clock, rng, {.base = 100ms, .max = 1'000ms}};
};

TEST_F(CircuitBreakerTest, WhileItWorksEverybodyIsAdmitted) {
  EXPECT_TRUE(breaker.admits());
  EXPECT_TRUE(breaker.admits());
  EXPECT_FALSE(breaker.last_success());
  EXPECT_FALSE(breaker.succeeded()) << "no outage has ended";
  EXPECT_EQ(breaker.last_success(), clock.mono_now());
  EXPECT_FALSE(breaker.outage());
}

TEST_F(CircuitBreakerTest, OneProbeAtATimeUntilOneSucceeds) {
  breaker.failed(kDown);
  EXPECT_FALSE(breaker.admits());
  clock.advance(100ms);
  EXPECT_TRUE(breaker.admits());
  EXPECT_FALSE(breaker.admits()) << "a probe is under way";
  EXPECT_FALSE(breaker.next_probe());
  EXPECT_TRUE(breaker.succeeded());
  EXPECT_TRUE(breaker.admits());
  EXPECT_TRUE(breaker.admits());
}

TEST_F(CircuitBreakerTest, PausesGrowWithProbesNotWithCallsThatWereUnderWay) {
  for (int i = 0; i < 50; ++i) breaker.failed(kDown);
  ASSERT_TRUE(breaker.next_probe());
  EXPECT_LE(*breaker.next_probe() - clock.mono_now(), 100ms);
  MonoTime::duration longest{};
  for (int i = 0; i < 20; ++i) {
    longest = std::max(longest, *breaker.next_probe() - clock.mono_now());
    clock.advance(1'000ms);
    ASSERT_TRUE(breaker.admits());
    breaker.failed(kDown);
  }
  EXPECT_GT(longest, 500ms);
  EXPECT_LE(longest, 1'000ms);
}

TEST_F(CircuitBreakerTest, AnOutageTellsItsBeginAndItsLatestError) {
  const MonoTime begin = clock.mono_now();
  breaker.failed(kDown);
  clock.advance(1'000ms);
  ASSERT_TRUE(breaker.admits());
  breaker.failed({ErrorKind::denied, "read_only", "It is read-only."});
  ASSERT_TRUE(breaker.outage());
  EXPECT_EQ(breaker.outage()->since, begin);
  EXPECT_EQ(breaker.outage()->error.code, "read_only");
}

TEST_F(CircuitBreakerTest, AProbeThatIsNotMadeIsAnothersAtOnce) {
  breaker.failed(kDown);
  clock.advance(100ms);
  ASSERT_TRUE(breaker.admits());
  breaker.withdrawn();
  EXPECT_TRUE(breaker.admits());
}

}  // namespace
}  // namespace imgrec::circuit_breaker_test
