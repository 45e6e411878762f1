#include "lib/base/backoff.hpp"

#include <gtest/gtest.h>

namespace imgrec::backoff_test {
namespace {

struct HighRng final : Rng {
  std::uint64_t next() override { return ~0ULL; }
};

TEST(Backoff, DoublesUpToItsMaximum) {
  HighRng rng;
  Backoff backoff({.base = Millis(100), .max = Millis(1'000)}, rng);
  std::vector<Millis::rep> delays;
  for (int i = 0; i < 6; ++i) delays.push_back(backoff.next().count());
  EXPECT_EQ(delays, (std::vector<Millis::rep>{99, 199, 399, 799, 999, 999}));
  backoff.reset();
  EXPECT_EQ(backoff.next(), Millis(99));
}

TEST(Backoff, NeverOverflows) {
  HighRng rng;
  Backoff backoff({.base = Millis(1'000), .max = Millis(60'000)}, rng);
  for (int i = 0; i < 200; ++i) EXPECT_LE(backoff.next(), Millis(60'000));
}

}  // namespace
}  // namespace imgrec::backoff_test
