#include "roles/worker/idle_end.hpp"

#include <gtest/gtest.h>

#include "lib/job/leader_lease.hpp"
#include "tests/support/fake_clock.hpp"
#include "tests/support/memory_store.hpp"

namespace imgrec::idle_end_test {
namespace {

using test::StoreCall;

class IdleEndTest : public testing::Test {
 protected:
  // So many minutes go by without work, each with ten looks; returns after how many the worker ended, or 0.
  int minutes_until_orphan(int minutes, bool renewed = false) {
    for (int i = 1; i <= minutes * 10; ++i) {
      clock_.advance(Seconds(6));
      idle_ += Seconds(6);
      if (renewed && i % 10 == 0) renew();
      if (watch_.is_due(idle_, {})) return (i + 9) / 10;
    }
    return 0;
  }
  void renew() {
    ASSERT_TRUE(store_.put(
        leader_lease_key(),
        to_json(LeaderLease{.epoch = 1, .holder = "h", .renewals = ++renewals_, .at = clock_.wall_now()}), {}));
  }

  test::FakeClock clock_;
  test::MemoryStore store_{clock_};
  Millis idle_{0};
  std::uint64_t renewals_ = 0;
  IdleEnd watch_{store_, clock_, {.orphan_timeout = std::chrono::minutes(12)}};
};

TEST_F(IdleEndTest, WithoutAControllerTheWorkerEnds) {
  EXPECT_EQ(minutes_until_orphan(60), 15) << "12 minutes after its first look, which is after a quarter of that";
  EXPECT_LE(store_.faults.calls(StoreCall::get), 5);
}

TEST_F(IdleEndTest, ALeaseThatNobodyRenewsIsNone) {
  renew();
  EXPECT_EQ(minutes_until_orphan(60), 15);
}

TEST_F(IdleEndTest, WhileSomebodyLeadsTheWorkerStays) {
  EXPECT_EQ(minutes_until_orphan(120, /*renewed=*/true), 0);
  EXPECT_LE(store_.faults.calls(StoreCall::get), 41);
  const int after = minutes_until_orphan(60);
  EXPECT_GE(after, 9);
  EXPECT_LE(after, 15);
}

TEST_F(IdleEndTest, WorkKeepsItAndCostsNothing) {
  for (int i = 0; i < 1'000; ++i) {
    clock_.advance(Seconds(60));
    EXPECT_FALSE(watch_.is_due(Seconds(60), {}));
  }
  EXPECT_EQ(store_.faults.calls(StoreCall::get), 0);
}

TEST_F(IdleEndTest, WhatCannotBeReadIsNoEvidence) {
  store_.faults.set_outage(Error{ErrorKind::denied, "denied", "No."});
  EXPECT_EQ(minutes_until_orphan(120), 0);
  store_.faults.set_outage(std::nullopt);
  const int after = minutes_until_orphan(60);
  EXPECT_GE(after, 12);
  EXPECT_LE(after, 15);
}

TEST(IdleEnd, ZeroMeansNever) {
  test::FakeClock clock;
  test::MemoryStore store(clock);
  IdleEnd watch(store, clock, {});
  EXPECT_EQ(watch.wait_max(), Millis::max());
  for (int i = 0; i < 100; ++i) {
    clock.advance(Seconds(3'600));
    EXPECT_FALSE(watch.is_due(Seconds(3'600 * (i + 1)), {}));
  }
  EXPECT_EQ(store.faults.calls(StoreCall::get), 0);
}

TEST(IdleEnd, EndsAfterATimeWithoutWork) {
  test::FakeClock clock;
  test::MemoryStore store(clock);
  IdleEnd watch(store, clock, {.exit_when_idle = Seconds(5), .orphan_timeout = Seconds(60)});
  EXPECT_EQ(watch.wait_max(), Seconds(5));
  EXPECT_FALSE(watch.is_due(Millis(4'999), {}));
  EXPECT_TRUE(watch.is_due(Seconds(5), {}));
}

}  // namespace
}  // namespace imgrec::idle_end_test
