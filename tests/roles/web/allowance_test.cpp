// How many images a key may send: rates and quotas, on one node and on several.
#include "roles/web/access/allowance.hpp"

#include <gtest/gtest.h>

#include "roles/web/access/token_bucket.hpp"
#include "tests/support/fake_clock.hpp"
#include "tests/support/memory_store.hpp"

namespace imgrec::allowance_test {
namespace {

using Time = TokenBucket::Time;

AccessKey key_with(double per_second, std::uint64_t per_day) {
  AccessKey key{.id = "0123456789ab", .name = "x", .roles = {.submit = true}};
  key.images_per_second = per_second;
  key.images_per_day = per_day;
  return key;
}

struct Nodes {
  test::FakeClock clock;
  test::MemoryStore store{clock};
  Allowances a{store, clock}, b{store, clock};
};

bool takes(Allowances& node, const AccessKey& key, std::uint64_t images = 1) {
  return !node.take(key, images, {}).value().refused;
}

TEST(TokenBucketTest, GivesItsRateAndASecondsBurst) {
  TokenBucket bucket(10);
  int taken = 0;
  const auto take_all = [&](double now) {
    while (bucket.wait(1, Time(now)) == Time(0)) {
      bucket.take(1, Time(now));
      ++taken;
    }
  };
  take_all(100);
  EXPECT_EQ(taken, 10);
  EXPECT_NEAR(bucket.wait(1, Time(100)).count(), 0.1, 1e-9);
  take_all(100.35);
  EXPECT_EQ(taken, 13);
  take_all(1000);
  EXPECT_EQ(taken, 23) << "no more than a second's is saved up";
}

TEST(TokenBucketTest, OwesWhatALargeRequestTookTooMuch) {
  TokenBucket bucket(2);
  EXPECT_EQ(bucket.wait(20, Time(5)), Time(0));
  bucket.take(20, Time(5));
  EXPECT_NEAR(bucket.wait(1, Time(5)).count(), 9.5, 1e-9);
}

TEST(TokenBucketTest, TimeDoesNotGoBack) {
  TokenBucket bucket(1, 0, Time(50));
  EXPECT_NEAR(bucket.wait(1, Time(20)).count(), 1, 1e-9);
}

TEST(AllowancesTest, OneNodeIsExact) {
  Nodes nodes;
  const AccessKey key = key_with(20, 0);
  int taken = 0;
  for (int step = 0; step < 1'000; ++step) {  // ten seconds, two hundred a second
    for (int i = 0; i < 2; ++i) taken += takes(nodes.a, key) ? 1 : 0;
    nodes.clock.advance(Millis(10));
  }
  EXPECT_NEAR(taken, 20 + 20 * 10, 1);
}

TEST(AllowancesTest, SaysWhenToComeAgain) {
  Nodes nodes;
  const AccessKey key = key_with(1, 0);
  EXPECT_TRUE(takes(nodes.a, key));
  const auto answer = nodes.a.take(key, 1, {}).value();
  ASSERT_TRUE(answer.refused);
  EXPECT_EQ(answer.refused->limit, Refused::Limit::rate);
  EXPECT_EQ(answer.refused->retry_after, Millis(1'000));
  EXPECT_TRUE(nodes.a.known_refusal(key));
  EXPECT_FALSE(nodes.b.known_refusal(key)) << "it has not asked";
  nodes.clock.advance(answer.refused->retry_after);
  EXPECT_FALSE(nodes.a.known_refusal(key));
  EXPECT_TRUE(takes(nodes.a, key));
}

// Clients that send five times what is allowed, spread as `to_b` of ten says.
int taken_by_two_nodes(double rate, int seconds, int to_b) {
  Nodes nodes;
  const AccessKey key = key_with(rate, 0);
  int taken = 0;
  const int steps_per_second = static_cast<int>(5 * rate);
  for (int step = 0; step < seconds * steps_per_second; ++step) {
    taken += takes(step % 10 < to_b ? nodes.b : nodes.a, key) ? 1 : 0;
    nodes.clock.advance(Millis(1'000 / steps_per_second));
  }
  return taken;
}

TEST(AllowancesTest, TwoNodesTogetherStayWithinATenthHoweverTheLoadIsSpread) {
  for (const double rate : {4.0, 40.0}) {
    for (const int to_b : {0, 1, 5}) {
      const int seconds = 25;
      const double allowed = rate * (seconds + 1);
      EXPECT_NEAR(taken_by_two_nodes(rate, seconds, to_b), allowed, 0.1 * allowed) << rate << " " << to_b;
    }
  }
}

TEST(AllowancesTest, AQuietNodeDoesNotKeepWhatABusyOneNeeds) {
  Nodes nodes;
  const AccessKey key = key_with(10, 0);
  EXPECT_TRUE(takes(nodes.b, key));  // it leases some ahead
  int taken = 0;
  for (int step = 0; step < 600; ++step) {
    taken += takes(nodes.a, key) ? 1 : 0;
    nodes.clock.advance(Millis(50));
  }
  EXPECT_GT(taken, 290);
}

TEST(AllowancesTest, TheQuotaIsExactOnOneNodeAndEndsWithTheDay) {
  Nodes nodes;
  const AccessKey key = key_with(0, 1'000);
  int taken = 0;
  for (int i = 0; i < 1'500; ++i) {
    taken += takes(nodes.a, key) ? 1 : 0;
    nodes.clock.advance(Millis(20));
  }
  EXPECT_EQ(taken, 1'000);
  const auto refused = nodes.a.take(key, 1, {}).value().refused;
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->limit, Refused::Limit::quota);
  EXPECT_EQ(refused->retry_after, std::chrono::hours(24) - Millis(30'000)) << "until midnight, UTC";
  nodes.clock.advance(refused->retry_after);
  EXPECT_TRUE(takes(nodes.a, key));
}

TEST(AllowancesTest, TheQuotaOfTwoNodesIsNeverExceededAndNearlyReached) {
  Nodes nodes;
  const AccessKey key = key_with(0, 1'000);
  int taken = 0;
  for (int i = 0; i < 3'000; ++i) taken += takes(i % 3 == 0 ? nodes.b : nodes.a, key) ? 1 : 0;
  EXPECT_LE(taken, 1'000);
  EXPECT_GE(taken, 900);
}

TEST(AllowancesTest, TheQuotaOutlivesANode) {
  Nodes nodes;
  const AccessKey key = key_with(0, 3);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(takes(nodes.a, key));
  EXPECT_FALSE(takes(nodes.b, key));
  Allowances again(nodes.store, nodes.clock);
  EXPECT_FALSE(takes(again, key));
}

TEST(AllowancesTest, ImagesCountNotRequests) {
  Nodes nodes;
  const AccessKey key = key_with(0, 10);
  EXPECT_TRUE(takes(nodes.a, key, 8));
  EXPECT_FALSE(takes(nodes.a, key, 3)) << "all or none";
  EXPECT_FALSE(nodes.a.known_refusal(key)) << "a smaller request may pass";
  EXPECT_TRUE(takes(nodes.a, key, 2));
}

TEST(AllowancesTest, ABusyKeyCostsFewCallsOfTheStore) {
  Nodes nodes;
  const AccessKey key = key_with(1'000, 0);
  for (int i = 0; i < 5'000; ++i) {
    EXPECT_TRUE(takes(nodes.a, key)) << i;
    nodes.clock.advance(Millis(1));
  }
  EXPECT_LE(nodes.store.writes(ObjectKey("access/use/0123456789ab.json")), 15);
}

TEST(AllowancesTest, WhatIsLeftIsTold) {
  Nodes nodes;
  const AccessKey key = key_with(5, 100);
  const AllowanceLeft left = nodes.a.take(key, 2, {}).value().left;
  EXPECT_NEAR(left.images, 3, 1e-6);
  EXPECT_EQ(left.images_today, 98U);
  EXPECT_EQ(left.day_left, std::chrono::hours(24));
}

TEST(AllowancesTest, AStoreThatFailsIsAnErrorAndADamagedCountBeginsAnew) {
  Nodes nodes;
  const AccessKey key = key_with(0, 10);
  nodes.store.faults.fail_next(test::StoreCall::put, 1, {ErrorKind::transient, "connection_failed", "no"});
  EXPECT_EQ(nodes.a.take(key, 1, {}).error().code, "connection_failed");
  ASSERT_TRUE(nodes.store.put(ObjectKey("access/use/0123456789ab.json"), "{\"tokens\":", {}));
  EXPECT_TRUE(takes(nodes.a, key));
}

TEST(AllowancesTest, ACountOfAnotherVersionIsLeftAsItIs) {
  Nodes nodes;
  const ObjectKey object("access/use/0123456789ab.json");
  const std::string newer = R"({"v":2,"tokens":1,"at_ms":1,"day":1,"images":1})";
  ASSERT_TRUE(nodes.store.put(object, newer, {}));
  EXPECT_EQ(nodes.a.take(key_with(0, 10), 1, {}).error().code, "other_version");
  EXPECT_EQ(nodes.store.get(object, kMiB)->bytes, newer);
}

TEST(AllowancesTest, AnEditedRateCountsAtOnce) {
  Nodes nodes;
  EXPECT_TRUE(takes(nodes.a, key_with(1, 0)));
  EXPECT_FALSE(takes(nodes.a, key_with(1, 0)));
  nodes.clock.advance(Millis(200));
  EXPECT_TRUE(takes(nodes.a, key_with(100, 0)));
}

}  // namespace
}  // namespace imgrec::allowance_test
