#include "lib/telemetry/decision_history.hpp"

#include <gmock/gmock.h>

namespace imgrec::decision_history_test {
namespace {

using testing::HasSubstr;
using testing::Not;

const WallTime kStart{std::chrono::hours(24 * 365 * 56)};

DecisionRecord decision(int wanted, Seconds after = Seconds(0)) {
  return {.at = kStart + after,
          .seen = DecisionRecord::Seen{.visible = 3, .pending = 1},
          .wanted = wanted,
          .actions = {.launch = 2},
          .why = "3 messages"};
}

TEST(DecisionHistory, GivesTheNewestFirst) {
  DecisionHistory history(10);
  for (int i = 1; i <= 3; ++i) history.record(decision(i));
  const auto latest = history.latest(2);
  ASSERT_EQ(latest.size(), 2U);
  EXPECT_EQ(latest[0].wanted, 3);
  EXPECT_EQ(latest[1].wanted, 2);
  EXPECT_EQ(history.latest(99).size(), 3U);
}

TEST(DecisionHistory, IsBoundedInNumberAndText) {
  DecisionHistory history(10);
  for (int i = 0; i < 10'000; ++i) {
    auto record = decision(i);
    record.why = record.error = std::string(100'000, 'x');
    history.record(record);
  }
  const auto latest = history.latest(10'000);
  EXPECT_EQ(latest.size(), 10U);
  EXPECT_EQ(latest.front().wanted, 9'999);
  for (const auto& record : latest) {
    EXPECT_EQ(record.why.size(), DecisionHistory::kTextBytesMax);
    EXPECT_EQ(record.error.size(), DecisionHistory::kTextBytesMax);
  }
}

TEST(DecisionHistory, CountsWhatOnlyRepeats) {
  DecisionHistory history(10);
  for (int i = 0; i < 1000; ++i) history.record(decision(4, Seconds(i)));
  auto failed = decision(4, Seconds(1000));
  failed.error = "no capacity";
  history.record(failed);
  const auto latest = history.latest(10);
  ASSERT_EQ(latest.size(), 2U);
  EXPECT_EQ(latest[0].times, 1U);
  EXPECT_EQ(latest[1].times, 1000U);
  EXPECT_EQ(latest[1].at, kStart);
  EXPECT_EQ(latest[1].repeated, kStart + Seconds(999));
}

TEST(DecisionHistory, WritesJsonThatTellsWhatIsUnknownByLeavingItOut) {
  DecisionHistory history(10);
  history.record({.at = kStart, .why = "nothing was read", .error = "broken \xff \"text\""});
  const std::string blind = history.to_json(1);
  EXPECT_THAT(blind, HasSubstr(R"("at":"2025-12-18T00:00:00.000Z")"));
  EXPECT_THAT(blind, HasSubstr("broken \xEF\xBF\xBD \\\"text\\\""));
  EXPECT_THAT(blind, Not(HasSubstr("queue")));
  EXPECT_THAT(blind, Not(HasSubstr("wanted")));
  auto seeing = decision(4);
  seeing.seen->oldest_age = Millis(1'500);
  history.record(seeing);
  const std::string both = history.to_json(5);
  EXPECT_THAT(both, HasSubstr(R"("queue":{"visible":3,"in_flight":0,"delayed":0,"oldest_age_ms":1500})"));
  EXPECT_THAT(both,
              HasSubstr(R"("instances":{"pending":1,"running":0,"stopping":0},"wanted":4,"take_back":0,"launch":2)"));
  EXPECT_LT(both.find("3 messages"), both.find("nothing was read")) << "newest first";
}

}  // namespace
}  // namespace imgrec::decision_history_test
