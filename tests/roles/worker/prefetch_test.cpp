#include "roles/worker/prefetch.hpp"

#include <gtest/gtest.h>

namespace imgrec::prefetch_test {
namespace {

TEST(PrefetchWindow, AQuarterOfASecondAheadWithinItsLimits) {
  const auto target = [](int threads, int prefetch_max, std::optional<double> mean_ms) {
    return prefetch_window({.threads = threads, .prefetch_max = prefetch_max, .mean_ms = mean_ms}).target;
  };
  EXPECT_EQ(target(1, 10, std::nullopt), 2) << "nothing is known yet";
  EXPECT_EQ(target(1, 10, 75.0), 1 + 4);
  EXPECT_EQ(target(4, 100, 75.0), 4 + 14);
  EXPECT_EQ(target(2, 10, 3.0), 2 + 10) << "prefetch is the limit";
  EXPECT_EQ(target(2, 10, 5000.0), 2 + 1) << "one is always at hand";
  EXPECT_EQ(target(2, 10, 0.0), 2 + 10);
  EXPECT_EQ(target(2, 0, 3.0), 2);
  EXPECT_EQ(target(2, 0, std::nullopt), 2);
}

TEST(PrefetchWindow, InABacklogAWholeBatchFits) {
  for (const int threads : {1, 2, 4}) {
    for (const double mean_ms : {0.5, 3.0, 30.0, 75.0}) {
      const PrefetchWindow now =
          prefetch_window({.threads = threads, .prefetch_max = 20, .mean_ms = mean_ms, .backlog = true});
      EXPECT_GE(now.target - now.refill_at, 10) << threads << " threads, " << mean_ms << " ms";
      EXPECT_LE(now.target, threads + 20);
      EXPECT_GT(now.refill_at, threads) << "some are at hand while others are fetched";
      const double ahead_ms = (now.target - threads) * mean_ms / threads;
      EXPECT_LE(ahead_ms, 1'100) << "the rest is for others";
    }
  }
}

TEST(PrefetchWindow, SlowImagesAreFetchedWhenHalfIsUsedUp) {
  const PrefetchWindow now = prefetch_window({.threads = 1, .prefetch_max = 20, .mean_ms = 75.0});
  EXPECT_EQ(now.target, 5);
  EXPECT_EQ(now.refill_at, 3);
  const PrefetchWindow slowest =
      prefetch_window({.threads = 1, .prefetch_max = 20, .mean_ms = 5000.0, .backlog = true});
  EXPECT_EQ(slowest.target, 2);
  EXPECT_EQ(slowest.refill_at, 1);
}

}  // namespace
}  // namespace imgrec::prefetch_test
