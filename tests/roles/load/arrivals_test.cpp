#include "roles/load/arrivals.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace imgrec::load::arrivals_test {
namespace {

std::vector<double> until(Arrivals& arrivals, double end_s) {
  std::vector<double> all;
  for (auto at = arrivals.next(); at && *at < end_s; at = arrivals.next()) all.push_back(*at);
  return all;
}

TEST(LoadArrivals, AreAPoissonProcessOfTheRate) {
  const auto arrivals = make_arrivals({.rate_begin = 50, .rate_end = 50}, 100, 7);
  const std::vector<double> all = until(*arrivals, 100);
  EXPECT_NEAR(static_cast<double>(all.size()), 5'000, 4 * std::sqrt(5'000));
  // The gaps of a Poisson process are exponential: their deviation is their mean.
  double sum = 0, squares = 0;
  for (std::size_t i = 1; i < all.size(); ++i) {
    const double gap = all[i] - all[i - 1];
    ASSERT_GT(gap, 0);
    sum += gap;
    squares += gap * gap;
  }
  const double count = static_cast<double>(all.size() - 1), mean = sum / count;
  EXPECT_NEAR(std::sqrt(squares / count - mean * mean) / mean, 1, 0.1);
}

TEST(LoadArrivals, FollowARampAndStayAtItsEnd) {
  const auto arrivals = make_arrivals({.rate_begin = 10, .rate_end = 110}, 100, 7);
  int first = 0, last = 0, after = 0;
  for (const double at_s : until(*arrivals, 110)) {
    first += at_s < 10;
    last += at_s >= 90 && at_s < 100;
    after += at_s >= 100;
  }
  EXPECT_NEAR(first, 150, 50);
  EXPECT_NEAR(last, 1'050, 130);
  EXPECT_NEAR(after, 1'100, 130);
}

TEST(LoadArrivals, AreTheSameForTheSameSeed) {
  const OpenModel model{.rate_begin = 5, .rate_end = 20};
  const auto times = [&](std::uint64_t seed) { return until(*make_arrivals(model, 10, seed), 10); };
  EXPECT_EQ(times(1), times(1));
  EXPECT_NE(times(1), times(2));
}

TEST(LoadArrivals, OfATraceAreInOrderAndAsManyAsItSays) {
  const auto trace = parse_trace("at_s,count\n0,10\n60,20\n", "t.csv");
  ASSERT_TRUE(trace);
  const std::vector<double> all = arrivals_of(*trace, 3, 1);
  ASSERT_EQ(all.size(), 90U);
  EXPECT_TRUE(std::ranges::is_sorted(all));
  EXPECT_EQ(std::ranges::count_if(all, [](double at_s) { return at_s < 60; }), 30);
  const OpenModel model{.at_s = all};
  const auto arrivals = make_arrivals(model, 0, 1);
  for (const double at_s : all) EXPECT_EQ(arrivals->next(), at_s);
  EXPECT_FALSE(arrivals->next());
}

}  // namespace
}  // namespace imgrec::load::arrivals_test
