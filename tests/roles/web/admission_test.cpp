#include "roles/web/upload/admission.hpp"

#include <gtest/gtest.h>

namespace imgrec::admission_test {
namespace {

using namespace std::chrono_literals;

constexpr AdmissionRules kRules{.queue_wait_max = 4'000ms, .queue_jobs_min = 100, .pending_jobs_max = 10'000};

/// So many answers a second for so long, while `pending` wait.
MonoTime answer(Admission& admission, int per_second, Millis duration, std::size_t pending, MonoTime from) {
  const int count = static_cast<int>(per_second * duration.count() / 1000);
  for (int i = 0; i <= count; ++i) admission.answered(pending, from + i * duration / count);
  return from + duration;
}

TEST(Admission, DecidesByTheEstimatedWaitBeyondAFloor) {
  struct Case {
    int per_second;
    std::size_t pending;
    bool accepted;
    Millis retry_after;
  };
  for (const Case& c :
       {Case{50, 0, true, 0s}, Case{50, 199, true, 0s}, Case{50, 205, false, 1s}, Case{50, 500, false, 6s},
        Case{50, 9'000, false, 30s}, Case{1000, 3'900, true, 0s}, Case{5, 100, true, 0s}, Case{5, 101, false, 17s}}) {
    Admission admission(kRules);
    const MonoTime now = answer(admission, c.per_second, 3s, 150, MonoTime(1h));
    const auto decision = admission.decide(c.pending, now);
    EXPECT_EQ(decision.accepted, c.accepted) << c.per_second << "/s, " << c.pending << " pending";
    EXPECT_EQ(decision.retry_after, c.retry_after) << c.per_second << "/s, " << c.pending << " pending";
  }
}

TEST(Admission, AnUnknownRateAcceptsUpToTheLimit) {
  Admission admission(kRules);
  EXPECT_TRUE(admission.decide(9'999, MonoTime(1h)).accepted);
  const auto full = admission.decide(10'000, MonoTime(1h));
  EXPECT_FALSE(full.accepted);
  EXPECT_EQ(full.retry_after, 1s);
}

TEST(Admission, AServiceWithLittleToDoIsNotTakenForASlowOne) {
  Admission admission(kRules);
  const MonoTime now = answer(admission, 1, 60s, 2, MonoTime(1h));
  EXPECT_FALSE(admission.rate(now));
  EXPECT_TRUE(admission.decide(5'000, now).accepted) << "a burst on an idle service";
}

TEST(Admission, TheRateIsKnownAfterHalfASecondOfAnswersAndUnknownAfterFiveWithoutAny) {
  Admission admission(kRules);
  const MonoTime begin(1h);
  answer(admission, 100, 400ms, 500, begin);
  EXPECT_FALSE(admission.rate(begin + 400ms));
  const MonoTime now = answer(admission, 100, 1s, 500, begin + 410ms);
  ASSERT_TRUE(admission.rate(now));
  EXPECT_NEAR(*admission.rate(now), 100, 5);
  EXPECT_TRUE(admission.rate(now + 4s));
  EXPECT_FALSE(admission.rate(now + 6s));
}

TEST(Admission, WorkersThatStartAfterALongSilenceAreMeasuredFromTheirFirstAnswer) {
  Admission admission(kRules);
  MonoTime now = answer(admission, 2, 10s, 500, MonoTime(1h));
  now = answer(admission, 100, 1s, 500, now + 60s);
  ASSERT_TRUE(admission.rate(now));
  EXPECT_NEAR(*admission.rate(now), 100, 5);
}

TEST(Admission, TheRateFollowsAChangeWithinFiveSeconds) {
  Admission admission(kRules);
  MonoTime now = answer(admission, 100, 20s, 500, MonoTime(1h));
  now = answer(admission, 10, 5s, 500, now);
  ASSERT_TRUE(admission.rate(now));
  EXPECT_NEAR(*admission.rate(now), 10, 3);
}

TEST(Admission, ItBeginsAnewWhenTheCrowdIsGone) {
  Admission admission(kRules);
  const MonoTime now = answer(admission, 10, 3s, 500, MonoTime(1h));
  admission.answered(50, now);
  EXPECT_FALSE(admission.rate(now));
}

}  // namespace
}  // namespace imgrec::admission_test
