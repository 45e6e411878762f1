#include "roles/controller/reaper.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "roles/controller/reconcile.hpp"

namespace imgrec::reaper_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

const WallTime kLaunched = WallTime(Seconds(1'790'000'000));
const MonoTime kBegin = MonoTime(Seconds(1'000'000));

class ReaperTest : public testing::Test {
 protected:
  struct One {
    const char* id = "i-1";
    InstanceState state = InstanceState::running;
    bool heard = false;  // now
  };
  // A look so long after the launch of all.
  std::vector<InstanceId> look(Seconds age, std::initializer_list<One> instances) {
    Observation seen{.at = kBegin + age, .depth = depth, .instances = {}, .wall = kLaunched + age};
    for (const One& one : instances) {
      seen.instances.push_back(
          {.id = InstanceId(one.id), .state = one.state, .app_tier_id = "app-tier-1", .launched_at = kLaunched});
      if (one.heard) any_heard = true;
      if (any_heard) {
        seen.signals.instances.resize(seen.instances.size());
        if (one.heard) seen.signals.instances.back().last_heard = seen.at;
      }
    }
    if (any_heard) seen.signals.instances.resize(seen.instances.size());
    seen.signals.unread_at = unread_at;
    return reaper->observe(seen);
  }

  std::optional<Reaper> reaper{ReapRules{.ready_timeout = Seconds(600), .silent_timeout = Seconds(300)}};
  QueueDepth depth{};
  bool any_heard = false;
  std::optional<MonoTime> unread_at;
};

constexpr auto kPending = InstanceState::pending;
constexpr auto kStopping = InstanceState::stopping;
const InstanceId kFirst("i-1"), kSecond("i-2");

TEST_F(ReaperTest, OneThatStaysPendingIsToldAndThenEnded) {
  EXPECT_THAT(look(Seconds(0), {{"i-1", kPending}}), IsEmpty());
  EXPECT_THAT(look(Seconds(599), {{"i-1", kPending}}), IsEmpty());
  EXPECT_THAT(reaper->findings(), IsEmpty());
  EXPECT_THAT(look(Seconds(600), {{"i-1", kPending}}), IsEmpty());
  EXPECT_THAT(reaper->findings(), ElementsAre(HasSubstr("not ready 600 s after its launch; it is ended in 60 s")));
  EXPECT_THAT(look(Seconds(659), {{"i-1", kPending}}), IsEmpty());
  EXPECT_THAT(reaper->findings(), IsEmpty());
  EXPECT_THAT(look(Seconds(660), {{"i-1", kPending}}), ElementsAre(kFirst));
}

TEST_F(ReaperTest, OneThatBecomesReadyAfterAllStays) {
  EXPECT_THAT(look(Seconds(0), {{"i-1", kPending}}), IsEmpty());
  EXPECT_THAT(look(Seconds(620), {{"i-1", kPending}}), IsEmpty());
  EXPECT_THAT(look(Seconds(640), {{.heard = true}}), IsEmpty());
  EXPECT_THAT(look(Seconds(700), {{.heard = true}}), IsEmpty());
}

TEST_F(ReaperTest, OneThatRunsAndNeverTellsIsEndedWhereOthersAreHeard) {
  for (int age = 0; age < 600; age += 60) {
    EXPECT_THAT(look(Seconds(age), {{"i-1"}, {.id = "i-2", .heard = true}}), IsEmpty()) << age;
  }
  EXPECT_THAT(look(Seconds(600), {{"i-1"}, {.id = "i-2", .heard = true}}), IsEmpty());
  EXPECT_THAT(reaper->findings(), ElementsAre(HasSubstr("i-1: its worker has not told that it is ready")));
  EXPECT_THAT(look(Seconds(660), {{"i-1"}, {.id = "i-2", .heard = true}}), ElementsAre(kFirst));
}

TEST_F(ReaperTest, WhereNobodyIsHeardTheQueueSaysWhetherAnybodyWorks) {
  depth = {.visible = 5, .in_flight = 1};
  for (int age = 0; age <= 1'200; age += 60) EXPECT_THAT(look(Seconds(age), {{"i-1"}}), IsEmpty()) << age;
  depth = {.visible = 0, .in_flight = 0};
  EXPECT_THAT(look(Seconds(1'260), {{"i-1"}}), IsEmpty()) << "there is nothing to do";
  depth = {.visible = 5, .in_flight = 0};
  EXPECT_THAT(look(Seconds(1'320), {{"i-1"}}), IsEmpty()) << "counts may be late";
  EXPECT_THAT(look(Seconds(1'440), {{"i-1"}}), IsEmpty());
  EXPECT_THAT(reaper->findings(), SizeIs(1));
  EXPECT_THAT(look(Seconds(1'500), {{"i-1"}}), ElementsAre(kFirst));
}

TEST_F(ReaperTest, OneThatFallsSilentIsEnded) {
  EXPECT_THAT(look(Seconds(100), {{.heard = true}}), IsEmpty());
  EXPECT_THAT(look(Seconds(399), {{"i-1"}}), IsEmpty());
  EXPECT_THAT(look(Seconds(400), {{"i-1"}}), IsEmpty());
  EXPECT_THAT(reaper->findings(), ElementsAre(HasSubstr("has told nothing for 300 s")));
  EXPECT_THAT(look(Seconds(460), {{"i-1"}}), ElementsAre(kFirst));
}

TEST_F(ReaperTest, SilenceWhileSignalsCannotBeReadIsNone) {
  EXPECT_THAT(look(Seconds(100), {{.heard = true}}), IsEmpty());
  unread_at = kBegin + Seconds(390);
  EXPECT_THAT(look(Seconds(400), {{"i-1"}}), IsEmpty());
  EXPECT_THAT(look(Seconds(689), {{"i-1"}}), IsEmpty());
  EXPECT_THAT(reaper->findings(), IsEmpty());
  EXPECT_THAT(look(Seconds(690), {{"i-1"}}), IsEmpty());
  EXPECT_THAT(reaper->findings(), SizeIs(1));
}

// A controller that took over has not heard what the earlier one heard.
TEST_F(ReaperTest, OneThatWasAdoptedHasTimeToBeHeard) {
  EXPECT_THAT(look(Seconds(9'000), {{"i-1"}, {.id = "i-2", .heard = true}}), IsEmpty());
  EXPECT_THAT(look(Seconds(9'599), {{"i-1"}, {.id = "i-2", .heard = true}}), IsEmpty());
  EXPECT_THAT(reaper->findings(), IsEmpty());
  EXPECT_THAT(look(Seconds(9'600), {{"i-1"}, {.id = "i-2", .heard = true}}), IsEmpty());
  EXPECT_THAT(reaper->findings(), SizeIs(1));
}

TEST_F(ReaperTest, WhatWasToldToEndIsToldAgainUntilItIsGone) {
  EXPECT_THAT(look(Seconds(10), {{"i-1"}, {"i-2"}}), IsEmpty());
  reaper->told_to_end({{kFirst}}, kBegin + Seconds(10));
  EXPECT_THAT(look(Seconds(20), {{"i-1"}, {"i-2"}}), ElementsAre(kFirst)) << "it runs still";
  EXPECT_THAT(look(Seconds(30), {{"i-1", kStopping}, {"i-2"}}), IsEmpty());
  EXPECT_THAT(look(Seconds(310), {{"i-1", kStopping}, {"i-2"}}), ElementsAre(kFirst)) << "it takes very long";
  reaper->told_to_end({{kFirst}}, kBegin + Seconds(310));
  EXPECT_THAT(look(Seconds(320), {{"i-1", kStopping}, {"i-2"}}), IsEmpty());
  EXPECT_THAT(look(Seconds(330), {{"i-2"}}), IsEmpty());
}

TEST_F(ReaperTest, ZeroMeansNever) {
  reaper.emplace(ReapRules{});
  EXPECT_THAT(look(Seconds(0), {{"i-1", kPending}, {.id = "i-2", .heard = true}}), IsEmpty());
  EXPECT_THAT(look(Seconds(9'000), {{"i-1", kPending}, {"i-2"}}), IsEmpty());
  EXPECT_THAT(reaper->findings(), IsEmpty());
}

// What is reaped is no capacity: it is ended and replaced in one round, within the maximum.
TEST(Reaped, IsEndedAndReplaced) {
  Observation seen;
  for (const char* id : {"i-1", "i-2", "i-3"}) {
    seen.instances.push_back({.id = InstanceId(id), .state = InstanceState::running, .app_tier_id = ""});
  }
  seen.instances[2].state = InstanceState::stopping;
  seen.reaped = {kFirst, InstanceId("i-3")};
  EXPECT_EQ(count_projected(seen), 1);
  const Actions actions = reconcile(seen, {.wanted = 2, .why = ""}, {.max = 4});
  EXPECT_THAT(actions.terminate, ElementsAre(kFirst, InstanceId("i-3")));
  EXPECT_EQ(actions.launch, 1);
  EXPECT_EQ(reconcile(seen, {.wanted = 2, .why = ""}, {.max = 3}).launch, 0) << "it takes its place until it is gone";
}

}  // namespace
}  // namespace imgrec::reaper_test
