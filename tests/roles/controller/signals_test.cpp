#include "roles/controller/signals.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "tests/roles/controller/policy_table.hpp"

namespace imgrec::signals_test {
namespace {

using test::kStart;
using test::kWallStart;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

class SignalBookTest : public testing::Test {
 protected:
  void hear(const Signal& signal, Millis after) { news_ = book_.hear(signal, kStart + after, kWallStart + after); }
  Signals read(Millis after, const std::vector<Instance>& instances = {}) {
    return book_.read(kStart + after, instances);
  }
  Signal enqueued(std::uint64_t images, Millis span = Millis(0), const std::string& node = "web") {
    return {.kind = SignalKind::enqueued,
            .sender = node,
            .life = "1",
            .sequence = ++sequence_[node],
            .images = images,
            .span = span};
  }
  Signal worker(SignalKind kind, const std::string& life = "1", const std::string& name = "app-tier-1") {
    return {.kind = kind, .sender = name, .life = life, .sequence = ++sequence_[name + life]};
  }
  Signal worked(std::uint64_t images, double busy_share, Millis idle = Millis(0)) {
    Signal signal = worker(SignalKind::worked);
    signal.images = images;
    signal.span = Seconds(10);
    signal.busy_share = busy_share;
    signal.idle = idle;
    return signal;
  }
  static std::vector<Instance> one(Millis launched_after) {
    return {{.id = InstanceId("i-1"),
             .state = InstanceState::running,
             .app_tier_id = "app-tier-1",
             .launched_at = kWallStart + launched_after}};
  }

  SignalBook book_;
  bool news_ = false;
  std::map<std::string, std::uint64_t> sequence_;
};

TEST_F(SignalBookTest, WithoutASignalNothingIsKnown) {
  const Signals signals = read(Millis(0), one(Millis(0)));
  EXPECT_FALSE(signals.arrivals_per_s || signals.arrivals_per_s_long || signals.last_arrival || signals.image_seconds ||
               signals.boot_mean || signals.boot_high);
  EXPECT_THAT(signals.quiet_gaps, IsEmpty());
  EXPECT_THAT(signals.instances, IsEmpty());
}

TEST_F(SignalBookTest, ArrivalsOfAllNodesAreAMean) {
  hear(enqueued(30), Millis(0));
  hear(enqueued(60, Seconds(10), "other"), Seconds(20));
  EXPECT_DOUBLE_EQ(*read(Seconds(20)).arrivals_per_s, 3);
  EXPECT_DOUBLE_EQ(*read(Seconds(20)).arrivals_per_s_long, 0.3);
  // At 45 s the half minute begins at 15 s: half of what came between 10 and 20 s.
  EXPECT_DOUBLE_EQ(*read(Seconds(45)).arrivals_per_s, 1);
  EXPECT_DOUBLE_EQ(*read(Seconds(60)).arrivals_per_s, 0);
  EXPECT_EQ(read(Seconds(60)).last_arrival, kStart + Seconds(20));
}

TEST_F(SignalBookTest, RemembersGapsBetweenArrivals) {
  hear(enqueued(1), Seconds(0));
  hear(enqueued(1), Seconds(4));
  hear(enqueued(1), Seconds(64));
  hear(enqueued(5, Seconds(10)), Seconds(94));
  EXPECT_THAT(read(Seconds(100)).quiet_gaps, ElementsAre(Seconds(60), Seconds(20)));
}

TEST_F(SignalBookTest, DoubledAndReorderedSignalsCountOnce) {
  std::vector<Signal> signals;
  for (int i = 0; i < 20; ++i) signals.push_back(enqueued(3));
  std::vector<Signal> twice = signals;
  twice.insert(twice.end(), signals.begin(), signals.end());
  std::mt19937 random(1);
  std::ranges::shuffle(twice, random);
  for (const Signal& signal : twice) hear(signal, Seconds(1));
  EXPECT_DOUBLE_EQ(*read(Seconds(1)).arrivals_per_s, 2) << "60 images in half a minute";
}

TEST_F(SignalBookTest, ANewLifeCountsFromItsBeginningAndTheEarlierOneIsOver) {
  Signal first = enqueued(30);
  Signal late = enqueued(30);
  hear(first, Seconds(0));
  Signal again = first;
  again.life = "2";
  hear(again, Seconds(1));
  hear(late, Seconds(2));
  EXPECT_DOUBLE_EQ(*read(Seconds(2)).arrivals_per_s, 2);
}

TEST_F(SignalBookTest, MeasuresBootsAndTheTimeOfAnImage) {
  hear(worker(SignalKind::ready), Seconds(40));
  hear(worked(100, 0.5), Seconds(50));
  hear(worked(2, 1), Seconds(60));
  const Signals signals = read(Seconds(60), one(Millis(0)));
  EXPECT_EQ(signals.boot_mean, Seconds(40));
  EXPECT_EQ(signals.boot_high, Seconds(40));
  EXPECT_DOUBLE_EQ(*signals.image_seconds, 0.05) << "two images are too few to say";
  ASSERT_EQ(signals.instances.size(), 1U);
  EXPECT_EQ(signals.instances[0].ready_since, kStart + Seconds(40));
  EXPECT_EQ(signals.instances[0].last_heard, kStart + Seconds(60));
  EXPECT_EQ(read(Seconds(61), one(Millis(0))).boot_mean, Seconds(40)) << "measured once";
}

TEST_F(SignalBookTest, BootsAreToldByImageAndTheLatestImageSaysWhatIsExpected) {
  std::vector<Instance> machine = one(Millis(0));
  machine.front().image = "ami-plain";
  hear(worker(SignalKind::ready, "1"), Seconds(90));
  read(Seconds(90), machine);
  machine = one(Seconds(100));
  machine.front().image = "ami-baked";
  hear(worker(SignalKind::ready, "2"), Seconds(130));
  const Signals signals = read(Seconds(130), machine);
  ASSERT_EQ(signals.boots.size(), 2U);
  EXPECT_EQ(signals.boots[0].image, "ami-plain");
  EXPECT_THAT(signals.boots[0].times, ElementsAre(Seconds(90)));
  EXPECT_EQ(signals.boots[1].image, "ami-baked");
  EXPECT_THAT(signals.boots[1].times, ElementsAre(Seconds(30)));
  EXPECT_EQ(signals.boot_mean, Seconds(30));
  EXPECT_EQ(signals.boot_high, Seconds(30));
}

TEST_F(SignalBookTest, BootsOfAnEarlierControllerCountOn) {
  std::vector<ImageBoots> earlier(6, {.image = "ami-old", .times = {Seconds(80)}});
  earlier.push_back({.image = "ami-plain", .times = std::vector<Millis>(25, Seconds(60))});
  earlier.push_back({.image = "ami-baked", .times = {Seconds(20)}});
  earlier.push_back({.image = "ami-none", .times = {}});
  book_.recall_boots(earlier);
  EXPECT_EQ(read(Seconds(0)).boot_mean, Seconds(20)) << "of the image of the latest boot";
  std::vector<Instance> machine = one(Millis(0));
  machine.front().image = "ami-plain";
  hear(worker(SignalKind::ready), Seconds(100));
  const Signals signals = read(Seconds(100), machine);
  ASSERT_EQ(signals.boots.size(), 4U);
  EXPECT_EQ(signals.boots[2].image, "ami-baked");
  EXPECT_EQ(signals.boots[3].image, "ami-plain");
  EXPECT_EQ(signals.boots[3].times.size(), 20U);
  EXPECT_EQ(signals.boot_mean, Seconds(62));
  EXPECT_EQ(signals.boot_high, Seconds(60)) << "9 of 10";
}

TEST_F(SignalBookTest, ALateReportDoesNotUndoANewerOne) {
  hear(worker(SignalKind::ready), Seconds(0));
  const Signal older = worked(10, 1), newer = worked(0, 0, Seconds(10));
  hear(newer, Seconds(20));
  hear(older, Seconds(21));
  EXPECT_EQ(read(Seconds(21), one(Millis(0))).instances.at(0).idle_since, kStart + Seconds(10));
}

TEST_F(SignalBookTest, WhatIsKnownAgesAndIsDropped) {
  hear(worker(SignalKind::ready), Seconds(0));
  hear(worked(100, 1), Seconds(10));
  EXPECT_EQ(read(Seconds(160), one(Millis(0))).instances.size(), 1U);
  EXPECT_THAT(read(Seconds(161), one(Millis(0))).instances, IsEmpty()) << "it may have died";
  EXPECT_TRUE(read(Seconds(610)).image_seconds);
  EXPECT_FALSE(read(Seconds(611)).image_seconds);
}

TEST_F(SignalBookTest, AnotherInstanceOfTheSameNameHasSaidNothingYet) {
  hear(worker(SignalKind::ready), Seconds(10));
  EXPECT_THAT(read(Seconds(30), one(Seconds(20))).instances, IsEmpty());
  hear(worker(SignalKind::ready, "2"), Seconds(50));
  const Signals signals = read(Seconds(50), one(Seconds(20)));
  EXPECT_EQ(signals.instances.at(0).ready_since, kStart + Seconds(50));
  EXPECT_EQ(signals.boot_mean, Seconds(30));
}

TEST_F(SignalBookTest, OneThatDrainsOrEndsIsNoCapacity) {
  for (const SignalKind kind : {SignalKind::draining, SignalKind::ended}) {
    hear(worker(SignalKind::ready), Seconds(0));
    hear(worker(kind), Seconds(1));
    const Signals seen = read(Seconds(2), one(Millis(0)));
    ASSERT_THAT(seen.instances, SizeIs(1));
    EXPECT_TRUE(seen.instances[0].leaving);
    EXPECT_FALSE(seen.instances[0].ready_since);
  }
}

TEST_F(SignalBookTest, TheTimeOfAnImageIsThatOfSaturatedWorkersWhereThereAreAny) {
  hear(worker(SignalKind::ready), Seconds(0));
  hear(worked(10, 0.2), Seconds(10));
  EXPECT_DOUBLE_EQ(*read(Seconds(10)).image_seconds, 0.2);
  hear(worked(100, 1), Seconds(20));
  EXPECT_DOUBLE_EQ(*read(Seconds(20)).image_seconds, 0.1);
  hear(worked(10, 0.2), Seconds(30));
  EXPECT_DOUBLE_EQ(*read(Seconds(30)).image_seconds, 0.1);
}

TEST_F(SignalBookTest, SaysWhatALookShouldNotWaitFor) {
  const auto is_news = [&](const Signal& signal, Seconds after) {
    hear(signal, after);
    return news_;
  };
  EXPECT_TRUE(is_news(enqueued(1), Seconds(0)));
  EXPECT_FALSE(is_news(enqueued(1), Seconds(5)));
  EXPECT_TRUE(is_news(enqueued(1), Seconds(11)));
  const Signal ready = worker(SignalKind::ready);
  EXPECT_TRUE(is_news(ready, Seconds(20)));
  EXPECT_FALSE(is_news(ready, Seconds(20))) << "doubled";
  EXPECT_FALSE(is_news(worked(3, 1), Seconds(30)));
  EXPECT_FALSE(is_news(worker(SignalKind::draining), Seconds(31)));
  EXPECT_TRUE(is_news(worker(SignalKind::ended), Seconds(32)));
}

TEST_F(SignalBookTest, MemoryIsBounded) {
  for (std::size_t i = 0; i < SignalBook::kSendersMax + 100; ++i) {
    hear(worker(SignalKind::ready, "1", "app-tier-" + std::to_string(i)), Seconds(0));
  }
  hear(worker(SignalKind::ready, "1", "late"), Seconds(1));
  std::vector<Instance> instances = one(Millis(0));
  instances[0].app_tier_id = "late";
  EXPECT_THAT(read(Seconds(1), instances).instances, IsEmpty());
  EXPECT_THAT(read(Seconds(400)).instances, IsEmpty());
  hear(worker(SignalKind::ready, "1", "late"), Seconds(401));
  EXPECT_EQ(read(Seconds(401), instances).instances.size(), 1U) << "those who are silent make room";
}

}  // namespace
}  // namespace imgrec::signals_test
