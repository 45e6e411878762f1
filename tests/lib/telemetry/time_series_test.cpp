#include "lib/telemetry/time_series.hpp"

#include <gmock/gmock.h>

#include <limits>

namespace imgrec::time_series_test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();
const WallTime kStart{std::chrono::hours(24 * 365 * 56)};  // a full minute

WallTime at(Millis after) {
  return kStart + after;
}
void record(TimeSeries& series, Millis after, double value) {
  series.record(at(after), std::array{value});
}

TEST(TimeSeries, ASecondHasMeanAndMaximum) {
  TimeSeries series({"depth"});
  record(series, Millis(0), 4);
  record(series, Millis(250), 8);
  record(series, Millis(999), 3);
  record(series, Millis(1'000), 1);
  EXPECT_THAT(series.read("depth", Resolution::second, {}),
              ElementsAre(SeriesPoint{.at = at(Millis(0)), .mean = 5, .max = 8}, SeriesPoint{at(Millis(1'000)), 1, 1}));
  EXPECT_THAT(series.read("depth", Resolution::minute, {}), ElementsAre(SeriesPoint{at(Millis(0)), 4, 8}));
}

TEST(TimeSeries, WhatIsUnknownIsAGapAndNoZero) {
  TimeSeries series({"a", "b"});
  series.record(at(Millis(0)), std::array{kUnknown, -2.0});
  series.record(at(Seconds(3)), std::array{7.0, kUnknown});
  EXPECT_THAT(series.read("a", Resolution::second, {}), ElementsAre(SeriesPoint{at(Seconds(3)), 7, 7}));
  EXPECT_THAT(series.read("b", Resolution::second, {}), ElementsAre(SeriesPoint{at(Seconds(0)), -2, -2}));
  EXPECT_THAT(series.read("c", Resolution::second, {}), IsEmpty());
}

TEST(TimeSeries, SinceLeavesOutWhatIsOlder) {
  TimeSeries series({"a"});
  for (int i = 0; i < 10; ++i) record(series, Seconds(i), i);
  EXPECT_THAT(series.read("a", Resolution::second, at(Seconds(8))),
              ElementsAre(SeriesPoint{at(Seconds(8)), 8, 8}, SeriesPoint{at(Seconds(9)), 9, 9}));
}

TEST(TimeSeries, KeepsAnHourBySecondsAndADayByMinutes) {
  TimeSeries series({"a"});
  const int days_in_seconds = 2 * 24 * 60 * 60;
  for (int i = 0; i < days_in_seconds; ++i) record(series, Seconds(i), i);
  const auto seconds = series.read("a", Resolution::second, {});
  ASSERT_EQ(seconds.size(), 3600U);
  EXPECT_EQ(seconds.front(),
            (SeriesPoint{at(Seconds(days_in_seconds - 3600)), days_in_seconds - 3600.0, days_in_seconds - 3600.0}));
  EXPECT_EQ(seconds.back().at, at(Seconds(days_in_seconds - 1)));
  const auto minutes = series.read("a", Resolution::minute, {});
  ASSERT_EQ(minutes.size(), 1440U);
  EXPECT_EQ(minutes.front().at, at(std::chrono::minutes(1440)));
  EXPECT_EQ(minutes.back().max, days_in_seconds - 1);
}

TEST(TimeSeries, AGapLeavesNothingOfWhatWasThereARoundBefore) {
  TimeSeries series({"a"});
  for (int i = 0; i < 3600; ++i) record(series, Seconds(i), 1);
  record(series, Seconds(3600 + 600), 2);  // ten minutes without a value
  const auto points = series.read("a", Resolution::second, {});
  EXPECT_EQ(points.size(), 3600U - 601 + 1);
  record(series, Seconds(100'000), 3);  // more than the whole ring
  EXPECT_EQ(series.read("a", Resolution::second, {}).size(), 1U);
}

TEST(TimeSeries, AClockThatIsSetBackDropsTheFutureAndGoesOn) {
  TimeSeries series({"a"});
  for (int i = 0; i < 3000; ++i) record(series, Seconds(i), i);
  record(series, Seconds(1000), -1);
  const auto points = series.read("a", Resolution::second, {});
  ASSERT_EQ(points.size(), 1001U);
  EXPECT_EQ(points.front().at, at(Seconds(0)));
  EXPECT_EQ(points.back().at, at(Seconds(1000)));
  record(series, Seconds(-3600 * 5), 9);  // further back than what is kept
  EXPECT_THAT(series.read("a", Resolution::second, {}), ElementsAre(SeriesPoint{at(Seconds(-3600 * 5)), 9, 9}));
  series.record(WallTime{Millis(-1)}, std::array{1.0});  // ignored
  EXPECT_EQ(series.read("a", Resolution::second, {}).size(), 1U);
}

TEST(TimeSeries, ColumnsAreBounded) {
  const TimeSeries series(std::vector<std::string>(1000, "a"));
  EXPECT_EQ(series.columns().size(), TimeSeries::kColumnsMax);
}

}  // namespace
}  // namespace imgrec::time_series_test
