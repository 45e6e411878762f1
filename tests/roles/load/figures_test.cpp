#include "roles/load/figures.hpp"

#include <gtest/gtest.h>

#include "roles/load/fail_if.hpp"

namespace imgrec::load::figures_test {
namespace {

LoadRecord record(double intended_s, double sent_s, double ended_s, bool ok = true) {
  return {.intended_s = intended_s,
          .sent_s = sent_s,
          .ended_s = ended_s,
          .images = 1,
          .ok = static_cast<std::uint16_t>(ok),
          .status = static_cast<std::uint16_t>(ok ? 200 : 503),
          .error = static_cast<std::uint16_t>(ok ? 0 : 1)};
}

TEST(Latencies, PercentilesAreNearestRanks) {
  Latencies latencies;
  EXPECT_FALSE(latencies.at(0.5));
  EXPECT_FALSE(latencies.mean());
  for (int i = 1; i <= 1000; ++i) latencies.sorted.push_back(i);
  EXPECT_EQ(latencies.at(0.5), 500);
  EXPECT_EQ(latencies.at(0.99), 990);
  EXPECT_EQ(latencies.at(0.999), 999);
  EXPECT_EQ(latencies.at(1), 1000);
  EXPECT_EQ(latencies.at(0), 1);
  EXPECT_EQ(latencies.mean(), 500.5);
  EXPECT_EQ((Latencies{{3}}.at(0.999)), 3);
}

TEST(Figures, CountFromWhenARequestWasDueAndLeaveTheWarmUpOut) {
  LoadPlan plan{.warmup = Millis(1'000)};
  LoadResult result{.errors = {"", "http_503"}, .calls = 40, .correct = 3, .wrong = 1, .duration_s = 5};
  LoadRecord warm = record(0.5, 0.5, 9);
  warm.is_warmup = true;
  result.records = {warm, record(2, 2.5, 3), record(2, 2.005, 4), record(3, 3, 3.1, false)};
  const Figures figures = figures_of(plan, result);
  EXPECT_EQ(figures.ok, 2U);
  EXPECT_EQ(figures.failed, 1U);
  EXPECT_EQ(figures.warmup, 1U);
  EXPECT_EQ(figures.late, 1U) << "5 ms are not late";
  EXPECT_DOUBLE_EQ(figures.latest_s, 0.5);
  EXPECT_EQ(figures.latencies.sorted, (std::vector<double>{1, 2}));
  EXPECT_EQ(figures.errors, (std::map<std::string, std::uint64_t>{{"http_503", 1}}));
  EXPECT_DOUBLE_EQ(figures.seconds, 4);
  EXPECT_DOUBLE_EQ(figures.images_per_s, 0.5);
  EXPECT_DOUBLE_EQ(figures.calls_per_s, 10);
  EXPECT_EQ(figures.accuracy, 0.75);
}

TEST(FailIf, ReadsFigureComparisonAndLimit) {
  const auto time = parse_fail_if("p99 >= 1500ms");
  ASSERT_TRUE(time) << time.error().message;
  EXPECT_EQ(time->figure, "p99");
  EXPECT_EQ(time->comparison, Comparison::greater_or_equal);
  EXPECT_DOUBLE_EQ(time->limit, 1.5);
  EXPECT_DOUBLE_EQ(parse_fail_if("p99.9>2")->limit, 2) << "a plain number is seconds";
  EXPECT_DOUBLE_EQ(parse_fail_if("accuracy<99%")->limit, 0.99);
  EXPECT_DOUBLE_EQ(parse_fail_if("accuracy<=0.5")->limit, 0.5);
  EXPECT_EQ(parse_fail_if("failed>0")->comparison, Comparison::greater);
  for (const char* text : {"", "p99", "p99=2s", "p98>2s", "p99>", "p99>fast", "p99><2s", "failed>x", "failed>-1", ">2s",
                           "accuracy<99%%", "failed>1s"}) {
    const auto wrong = parse_fail_if(text);
    ASSERT_FALSE(wrong) << text;
    EXPECT_EQ(wrong.error().code, "bad_condition");
  }
}

TEST(FailIf, HoldsOrNot) {
  Figures figures;
  figures.failed = 2;
  figures.latencies.sorted = {1, 2};
  const auto is_so = [&](const char* text) { return holds(*parse_fail_if(text), figures); };
  EXPECT_TRUE(is_so("p99>1500ms"));
  EXPECT_FALSE(is_so("p99>2s"));
  EXPECT_TRUE(is_so("p99>=2s"));
  EXPECT_FALSE(is_so("failed<2"));
  EXPECT_TRUE(is_so("failed<=2"));
  EXPECT_TRUE(is_so("accuracy<0.1")) << "what is not known cannot be shown to be good";
}

}  // namespace
}  // namespace imgrec::load::figures_test
