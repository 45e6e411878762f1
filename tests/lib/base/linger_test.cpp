#include "lib/base/linger.hpp"

#include <gtest/gtest.h>

namespace imgrec::linger_test {
namespace {

using namespace std::chrono_literals;

struct Case {
  const char* what;
  LingerRule rule;
  LingerState state;
  Millis wait;
};

TEST(Linger, FollowsItsTable) {
  const LingerRule eighth{.part = 8, .min = 0ms, .max = 500ms};
  const LingerRule quarter{.part = 4, .min = 0ms, .max = 500ms};
  const LingerRule crowd{.part = 8, .min = 5ms, .max = 500ms};
  const LingerRule fixed{.part = 1, .min = 1000ms, .max = 1000ms};
  const Case cases[] = {
      {"nothing else is coming", eighth, {.more = false, .usual = 80ms, .next_two = 0ms}, 0ms},
      {"an eighth of what an item takes", eighth, {.more = true, .usual = 80ms, .next_two = 0ms}, 10ms},
      {"a quarter of it", quarter, {.more = true, .usual = 80ms, .next_two = 0ms}, 20ms},
      {"no longer than the limit", eighth, {.more = true, .usual = 1h, .next_two = 0ms}, 500ms},
      {"clocks that differ", eighth, {.more = true, .usual = -1h, .next_two = 0ms}, 0ms},
      {"not even two more would come", quarter, {.more = true, .usual = 80ms, .next_two = 21ms}, 0ms},
      {"two more come just in time", quarter, {.more = true, .usual = 80ms, .next_two = 20ms}, 20ms},
      {"at least the minimum", crowd, {.more = true, .usual = 8ms, .next_two = 0ms}, 5ms},
      {"a fixed time", fixed, {.more = true, .usual = 0ms, .next_two = 0ms}, 1000ms},
      {"a fixed time only while more is coming", fixed, {.more = false, .usual = 0ms, .next_two = 0ms}, 0ms},
  };
  for (const Case& one : cases) EXPECT_EQ(linger(one.rule, one.state), one.wait) << one.what;
}

}  // namespace
}  // namespace imgrec::linger_test
