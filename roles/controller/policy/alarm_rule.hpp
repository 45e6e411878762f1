// The numbers of the policy `alarm`, for the policy and for those who have AWS do the same.
#pragma once

#include <limits>

namespace imgrec::alarm_rule {

// The metric's distance from the threshold and the change of capacity it asks for.
struct Step {
  double lower, upper;
  int change;
};

inline constexpr double kOutThreshold = 2;  // more messages than that: out
inline constexpr double kInThreshold = 3;   // fewer than that: in
inline constexpr double kAny = std::numeric_limits<double>::infinity();
// The first lets a few images wait for a second instance; the last fills a group of the published size at once.
inline constexpr Step kOutSteps[] = {{0, 10, 1}, {10, 50, 6}, {50, kAny, 18}};
inline constexpr Step kInSteps[] = {{-2, 0, -1}, {-kAny, -2, -6}};
inline constexpr int kWarmUpSeconds = 300;

}  // namespace imgrec::alarm_rule
