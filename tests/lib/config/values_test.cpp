#include "lib/config/values.hpp"

#include <gtest/gtest.h>

namespace imgrec::values_test {
namespace {

TEST(Duration, IsReadWithItsUnit) {
  EXPECT_EQ(parse_duration("500ms"), Millis(500));
  EXPECT_EQ(parse_duration("30s"), Millis(30'000));
  EXPECT_EQ(parse_duration("15m"), Millis(900'000));
  EXPECT_EQ(parse_duration("15min"), Millis(900'000));
  EXPECT_EQ(parse_duration("2h"), Millis(7'200'000));
  EXPECT_EQ(parse_duration("7d"), Millis(604'800'000));
  EXPECT_EQ(parse_duration("1.5s"), Millis(1'500));
  EXPECT_EQ(parse_duration(" 30 S "), Millis(30'000));
}

TEST(Duration, APlainNumberIsSeconds) {
  EXPECT_EQ(parse_duration("0"), Millis(0));
  EXPECT_EQ(parse_duration("20"), Millis(20'000));
  EXPECT_EQ(parse_duration("0.25"), Millis(250));
}

TEST(Duration, WhatIsNoneIsRefused) {
  for (const char* text : {"", "s", "-1s", "+1s", "1.5ms", "1e3", "1..5s", ".5s", "5.s", "10 weeks", "1s 500ms", "0x10",
                           "99999999999999999999", "40000d", "9223372036854775807ms", "1.0000000001s", "nan", "inf"}) {
    EXPECT_EQ(parse_duration(text), std::nullopt) << text;
  }
}

TEST(DurationRange, IsOneDurationOrTwo) {
  const auto ends = [](const char* text) {
    const auto range = parse_duration_range(text);
    return range ? std::optional(std::pair(range->min.count(), range->max.count())) : std::nullopt;
  };
  EXPECT_EQ(ends("10s"), std::pair(10'000L, 10'000L));
  EXPECT_EQ(ends("8s..15s"), std::pair(8'000L, 15'000L));
  EXPECT_EQ(ends("1.5s .. 2m"), std::pair(1'500L, 120'000L));
  for (const char* text : {"", "..", "8s..", "..15s", "15s..8s", "8s-15s", "8s..9s..10s"}) {
    EXPECT_EQ(ends(text), std::nullopt) << text;
  }
  EXPECT_EQ(format_duration_range({Seconds(10), Seconds(10)}), "10s");
  EXPECT_EQ(format_duration_range({Seconds(8), Millis(15'500)}), "8s..15500ms");
}

TEST(Duration, IsWrittenInItsShortestExactForm) {
  EXPECT_EQ(format_duration(Millis(0)), "0s");
  EXPECT_EQ(format_duration(Millis(1'500)), "1500ms");
  EXPECT_EQ(format_duration(Millis(30'000)), "30s");
  EXPECT_EQ(format_duration(Millis(900'000)), "15m");
  EXPECT_EQ(format_duration(Millis(604'800'000)), "7d");
  for (const std::int64_t ms : {1LL, 999LL, 1'001LL, 59'999LL, 61'000LL, 86'400'000LL, 86'400'001LL}) {
    EXPECT_EQ(parse_duration(format_duration(Millis(ms))), Millis(ms));
  }
}

TEST(Size, IsReadWithItsUnit) {
  EXPECT_EQ(parse_size("20MiB"), 20 * kMiB);
  EXPECT_EQ(parse_size("20MB"), 20'000'000U);
  EXPECT_EQ(parse_size("512 KiB"), 512 * kKiB);
  EXPECT_EQ(parse_size("1kb"), 1'000U);
  EXPECT_EQ(parse_size("1.5GiB"), 1536 * kMiB);
  EXPECT_EQ(parse_size("2GB"), 2'000'000'000U);
  EXPECT_EQ(parse_size("4096B"), 4096U);
  EXPECT_EQ(parse_size("4096"), 4096U);
}

TEST(Size, WhatIsNoneIsRefused) {
  for (const char* text : {"", "MiB", "-1", "1.5B", "0.3KiB", "20M", "20 MiB x", "99999999999GiB", "1e6"}) {
    EXPECT_EQ(parse_size(text), std::nullopt) << text;
  }
}

TEST(Size, IsWrittenInItsShortestExactForm) {
  EXPECT_EQ(format_size(0), "0B");
  EXPECT_EQ(format_size(1'000), "1000B");
  EXPECT_EQ(format_size(20 * kMiB), "20MiB");
  EXPECT_EQ(format_size(1536 * kMiB), "1536MiB");
  for (const std::uint64_t bytes : {std::uint64_t{1}, std::uint64_t{1023}, std::uint64_t{1025}, 20 * kMiB + 1}) {
    EXPECT_EQ(parse_size(format_size(bytes)), bytes);
  }
}

TEST(Whole, TakesOneNumberAndNothingElse) {
  EXPECT_EQ(parse_whole("8000"), 8000);
  EXPECT_EQ(parse_whole(" -3 "), -3);
  for (const char* text : {"", "1.0", "8000x", "0x10", "1e3", "9223372036854775808"}) {
    EXPECT_EQ(parse_whole(text), std::nullopt) << text;
  }
}

TEST(Prices, AreReadBack) {
  const auto prices = parse_prices(" c7i.large = 0.0893, c7a.large=0.0821 ");
  ASSERT_TRUE(prices);
  EXPECT_EQ(*prices, (std::map<std::string, double>{{"c7a.large", 0.0821}, {"c7i.large", 0.0893}}));
  EXPECT_EQ(format_prices(*prices), "c7a.large=0.0821,c7i.large=0.0893");
  EXPECT_EQ(parse_prices(""), (std::map<std::string, double>{}));
}

}  // namespace
}  // namespace imgrec::values_test
