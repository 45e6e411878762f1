#include "lib/local/janitor.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>

#include "tests/support/fake_clock.hpp"
#include "tests/support/memory_store.hpp"

namespace imgrec::janitor_test {
namespace {

using std::chrono::hours;

class JanitorTest : public testing::Test {
 protected:
  void put(const std::string& key) { ASSERT_TRUE(store_.put(ObjectKey(key), "x", {})); }
  std::vector<std::string> keys() const {
    std::vector<std::string> found;
    for (const ObjectKey& key : store_.keys()) found.push_back(key.str());
    return found;
  }
  RemoveUnread messages() {
    return [this](WallTime before, std::uint64_t count_max) -> Result<std::uint64_t> {
      before_ = before;
      const std::uint64_t removed = std::min<std::uint64_t>(unread_, count_max);
      unread_ -= removed;
      return removed;
    };
  }
  std::atomic<std::uint64_t> unread_ = 0;
  WallTime before_;
  test::FakeClock clock_;
  test::MemoryStore store_{clock_};
  const JanitorOptions options_{.retention = hours(24), .pause = Millis(0)};
};

TEST_F(JanitorTest, DeletesOldInputsAndResultsAndNothingElse) {
  put("inputs/01A");
  put("results/01A.json");
  put("other/01A");
  clock_.advance(hours(23));
  put("inputs/02B");
  put("results/02B.json");
  EXPECT_EQ(sweep_old_objects(store_, options_, clock_, {}), 0U);
  clock_.advance(hours(2));
  EXPECT_EQ(sweep_old_objects(store_, options_, clock_, {}), 2U);
  EXPECT_THAT(keys(), testing::ElementsAre("inputs/02B", "other/01A", "results/02B.json"));
}

// The keys of lists of jobs do not sort by time, so an old one may come after many new ones.
TEST_F(JanitorTest, DeletesOldListsOfJobsAndIdempotencyKeysWhereverTheyAre) {
  put("sessions/b/1.json");
  put("idempotency/b");
  clock_.advance(hours(25));
  for (int i = 0; i < 250; ++i) put("sessions/a/" + std::to_string(i));
  put("idempotency/a");
  EXPECT_EQ(sweep_old_objects(store_, options_, clock_, {}), 2U);
  EXPECT_EQ(keys().size(), 251U);
}

TEST_F(JanitorTest, WhatARevokedKeyHasUsedGoesAfterAWeekHoweverShortTheRetention) {
  put("access/keys.json");
  put("access/use/0123456789ab.json");
  JanitorOptions options = options_;
  options.retention = Seconds(1);
  clock_.advance(hours(6 * 24));
  put("access/use/ba9876543210.json");
  EXPECT_EQ(sweep_old_objects(store_, options, clock_, {}), 0U);
  clock_.advance(hours(25));
  EXPECT_EQ(sweep_old_objects(store_, options, clock_, {}), 1U);
  EXPECT_THAT(keys(), testing::ElementsAre("access/keys.json", "access/use/ba9876543210.json"));
}

TEST_F(JanitorTest, NamedResultsAreSweptWholeAsTheirKeysDoNotSortByTime) {
  put("named/z");
  clock_.advance(hours(25));
  for (int i = 0; i < 250; ++i) put("named/a" + std::to_string(i));
  EXPECT_EQ(sweep_old_objects(store_, options_, clock_, {}), 0U);
  JanitorOptions options = options_;
  options.named_prefix = "named/";
  EXPECT_EQ(sweep_old_objects(store_, options, clock_, {}), 1U);
  EXPECT_THAT(keys(), testing::SizeIs(250));
}

TEST_F(JanitorTest, SweepsMoreThanOnePage) {
  for (int i = 0; i < 1'050; ++i) put("inputs/" + std::to_string(10'000 + i));
  clock_.advance(hours(25));
  EXPECT_EQ(sweep_old_objects(store_, options_, clock_, {}), 1'050U);
  EXPECT_THAT(keys(), testing::IsEmpty());
}

TEST_F(JanitorTest, WithoutARetentionNothingIsDeleted) {
  put("inputs/01A");
  clock_.advance(hours(24 * 365));
  EXPECT_EQ(sweep_old_objects(store_, {.retention = Seconds(0)}, clock_, {}), 0U);
  EXPECT_EQ(keys().size(), 1U);
}

TEST_F(JanitorTest, AFailureIsReturned) {
  put("inputs/01A");
  clock_.advance(hours(25));
  store_.faults.fail_next(test::StoreCall::remove, 1, Error{ErrorKind::transient, "store_unavailable", "No."});
  const auto swept = sweep_old_objects(store_, options_, clock_, {});
  ASSERT_FALSE(swept);
  EXPECT_EQ(swept.error().code, "store_unavailable");
  EXPECT_EQ(sweep_old_objects(store_, options_, clock_, {}), 1U);
}

TEST_F(JanitorTest, RemovesUnreadMessagesPageByPage) {
  unread_ = 250;
  EXPECT_EQ(sweep_unread_messages(messages(), options_, clock_, {}), 250U);
  EXPECT_EQ(unread_, 0U);
  EXPECT_EQ(before_, clock_.wall_now() - options_.retention);
  unread_ = 1;
  EXPECT_EQ(sweep_unread_messages(messages(), {.retention = Seconds(0)}, clock_, {}), 0U);
  EXPECT_EQ(unread_, 1U);
  const auto failing = [](WallTime, std::uint64_t) -> Result<std::uint64_t> {
    return fail(ErrorKind::transient, "queue_unavailable", "No.");
  };
  EXPECT_EQ(sweep_unread_messages(failing, options_, clock_, {}).error().code, "queue_unavailable");
}

TEST_F(JanitorTest, RunsAgainAndAgainUntilStopped) {
  put("inputs/01A");
  std::jthread janitor([&](std::stop_token stop) { run_janitor(store_, messages(), options_, clock_, stop); });
  clock_.wait_for_sleepers(1);
  EXPECT_EQ(keys().size(), 1U);
  unread_ = 7;
  clock_.advance(hours(25));
  while (!keys().empty() || unread_ > 0) std::this_thread::yield();
  janitor.request_stop();
  janitor.join();
}

}  // namespace
}  // namespace imgrec::janitor_test
