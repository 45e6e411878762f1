#include "roles/worker/prefetch.hpp"

#include <gtest/gtest.h>

namespace imgrec {
namespace {

TEST(HeldTarget, HoldsAQuarterOfASecondAheadWithinItsLimits) {
  EXPECT_EQ(held_target(1, 10, std::nullopt), 2) << "nothing is known yet";
  EXPECT_EQ(held_target(1, 10, 75.0), 1 + 4);
  EXPECT_EQ(held_target(4, 100, 75.0), 4 + 14);
  EXPECT_EQ(held_target(2, 10, 3.0), 2 + 10) << "prefetch is the limit";
  EXPECT_EQ(held_target(2, 10, 5000.0), 2 + 1) << "one is always at hand";
  EXPECT_EQ(held_target(2, 10, 0.0), 2 + 10);
  EXPECT_EQ(held_target(2, 0, 3.0), 2);
  EXPECT_EQ(held_target(2, 0, std::nullopt), 2);
}

}  // namespace
}  // namespace imgrec
