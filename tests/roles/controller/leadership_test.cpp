#include "roles/controller/leadership.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>

#include "roles/controller/apply.hpp"
#include "roles/controller/round.hpp"
#include "tests/support/fake_clock.hpp"
#include "tests/support/fake_fleet.hpp"
#include "tests/support/long_run.hpp"
#include "tests/support/memory_store.hpp"

namespace imgrec::leadership_test {
namespace {

using test::FaultAt;
using test::FleetCall;
using test::StoreCall;

constexpr Millis kLength{20'000};

class LeadershipTest : public testing::Test {
 protected:
  std::unique_ptr<Leadership> controller(const std::string& name, Millis launches_kept = Millis(120'000)) {
    return std::make_unique<Leadership>(
        store_, clock_, rng_, metrics_,
        LeadershipOptions{.length = kLength,
                          .holder = name,
                          .is_gone = [this](const std::string& holder) { return gone_.contains(holder); },
                          .launches_kept = launches_kept});
  }
  LeaderLease lease() { return *parse_leader_lease(store_.get(leader_lease_key(), kMiB)->bytes); }
  static bool leads(Leadership& one) { return one.try_to_lead({}).value_or(false); }
  static bool renews(Leadership& one) { return one.renew({}).value_or(false); }
  static NotedLaunch launch_of(Leadership& one) {
    return {.token = one.new_token(), .count = 2, .total = 3, .plan = "p"};
  }

  test::FakeClock clock_;
  test::SeededRng rng_;
  Metrics metrics_;
  test::MemoryStore store_{clock_};
  std::set<std::string> gone_;
};

TEST_F(LeadershipTest, OneLeadsAndTheOtherTakesOverWhenItIsSilent) {
  const auto a = controller("a"), b = controller("b");
  EXPECT_TRUE(leads(*a));
  EXPECT_FALSE(leads(*b));
  for (int i = 0; i < 20; ++i) {
    clock_.advance(Seconds(6));
    ASSERT_TRUE(renews(*a));
    EXPECT_FALSE(leads(*b)) << "it is renewed";
  }
  clock_.advance(kLength - Millis(1));
  EXPECT_FALSE(leads(*b));
  clock_.advance(Millis(1));
  EXPECT_TRUE(leads(*b));
  EXPECT_EQ(lease().epoch, 2U);
  EXPECT_FALSE(renews(*a));
  EXPECT_FALSE(leads(*a));
}

TEST_F(LeadershipTest, AControllerOfAnotherFleetIsToldWhoLeadsHere) {
  const auto of_fleet = [&](const std::string& name, const std::string& fleet) {
    return std::make_unique<Leadership>(store_, clock_, rng_, metrics_,
                                        LeadershipOptions{.length = kLength, .holder = name, .fleet = fleet});
  };
  const auto cats = of_fleet("a", "cats"), dogs = of_fleet("b", "dogs"), unnamed = of_fleet("c", "");
  EXPECT_TRUE(leads(*cats));
  EXPECT_EQ(lease().fleet, "cats");
  const auto refused = dogs->try_to_lead({});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "other_fleet");
  EXPECT_NE(refused.error().message.find("a of the fleet cats"), std::string::npos) << refused.error().message;
  EXPECT_NE(refused.error().message.find("aws.output_prefix"), std::string::npos);
  EXPECT_EQ(unnamed->try_to_lead({}), false) << "an older version, which names no fleet, stands by";
  ASSERT_TRUE(renews(*cats)) << "nobody else's look disturbs the leader";
  cats->release();
  EXPECT_TRUE(leads(*dogs)) << "a fleet that has ended, or got another name, blocks nobody";
  EXPECT_EQ(lease().fleet, "dogs");
}

TEST_F(LeadershipTest, TimesOfDayDoNotMatter) {
  const auto a = controller("a"), b = controller("b");
  EXPECT_TRUE(leads(*a));
  clock_.shift_wall(std::chrono::hours(5));
  EXPECT_FALSE(leads(*b));
  clock_.shift_wall(-std::chrono::hours(9));
  EXPECT_FALSE(leads(*b));
  EXPECT_TRUE(a->within_lease({}));
}

TEST_F(LeadershipTest, ALeaderThatEndedIsReplacedAtOnce) {
  const auto a = controller("a"), b = controller("b"), c = controller("c");
  EXPECT_TRUE(leads(*a));
  EXPECT_FALSE(leads(*b));
  a->release();
  EXPECT_TRUE(leads(*b));
  EXPECT_FALSE(leads(*c));
  gone_.insert("b");
  EXPECT_TRUE(leads(*c));
  EXPECT_EQ(lease().epoch, 3U);
}

TEST_F(LeadershipTest, ALeaderStopsActingBeforeAnotherMayTakeOver) {
  const auto a = controller("a"), b = controller("b");
  EXPECT_TRUE(leads(*a));
  EXPECT_FALSE(leads(*b));
  const auto limits = a->within_lease({});
  ASSERT_TRUE(limits);
  EXPECT_LT(limits->deadline.at, clock_.mono_now() + kLength) << "its calls end before the lease does";
  store_.faults.set_outage(test::injected_error());
  clock_.advance(Seconds(16));
  EXPECT_FALSE(a->renew({}));
  const auto late = a->within_lease({});
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, "lease_not_renewed");
  store_.faults.set_outage(std::nullopt);
  EXPECT_TRUE(renews(*a)) << "nobody took over meanwhile";
  EXPECT_TRUE(a->within_lease({}));
  EXPECT_EQ(lease().epoch, 1U);
}

TEST_F(LeadershipTest, AnAnswerThatWasLostIsLookedUp) {
  const auto a = controller("a"), b = controller("b");
  store_.faults.fail_next(StoreCall::put, 1, test::injected_error(), FaultAt::after);
  EXPECT_FALSE(a->try_to_lead({}));
  EXPECT_TRUE(leads(*a)) << "the lease there is its own";
  store_.faults.fail_next(StoreCall::put, 1, test::injected_error(), FaultAt::after);
  EXPECT_FALSE(a->renew({}));
  EXPECT_TRUE(renews(*a));
  EXPECT_FALSE(leads(*b));
}

TEST_F(LeadershipTest, NotedLaunchesAreInheritedForAsLongAsTheCloudMayNotShowThem) {
  const auto a = controller("a"), b = controller("b"), c = controller("c", Millis(0));
  EXPECT_TRUE(leads(*a));
  const NotedLaunch first = launch_of(*a), second = launch_of(*a);
  EXPECT_TRUE(first.token.str().starts_with("1-")) << "the epoch: " << first.token;
  ASSERT_TRUE(a->note(first, {}));
  ASSERT_TRUE(a->note(second, {}));
  a->forget(second.token);
  a->release();
  EXPECT_TRUE(leads(*b));
  EXPECT_EQ(b->inherited(), std::vector{first});
  EXPECT_TRUE(renews(*b));
  EXPECT_EQ(lease().launches, std::vector{first}) << "a third one would need it too";
  clock_.advance(Seconds(120));
  EXPECT_TRUE(renews(*b));
  EXPECT_TRUE(lease().launches.empty());

  ASSERT_TRUE(b->note(launch_of(*b), {}));
  b->release();
  EXPECT_TRUE(leads(*c));
  EXPECT_TRUE(c->inherited().empty()) << "its fleet shows every launch at once";
}

TEST_F(LeadershipTest, WhoDoesNotLeadNotesNothing) {
  const auto a = controller("a"), b = controller("b");
  EXPECT_TRUE(leads(*a));
  EXPECT_FALSE(leads(*b));
  EXPECT_FALSE(b->note(launch_of(*b), {}));
  clock_.advance(Seconds(15));
  clock_.advance(Seconds(5));
  EXPECT_TRUE(leads(*b));
  const auto noted = a->note(launch_of(*a), {});
  ASSERT_FALSE(noted);
  EXPECT_TRUE(lease().launches.empty());
}

TEST_F(LeadershipTest, WhatCannotBeReadIsNotTakenOver) {
  ASSERT_TRUE(store_.put(leader_lease_key(), R"({"v":2})", {}));
  const auto a = controller("a");
  for (int i = 0; i < 10; ++i) {
    const auto tried = a->try_to_lead({});
    ASSERT_FALSE(tried);
    EXPECT_EQ(tried.error().code, "bad_leader_lease");
    clock_.advance(kLength);
  }
}

TEST_F(LeadershipTest, ALeaseThatWasDeletedIsLost) {
  const auto a = controller("a");
  EXPECT_TRUE(leads(*a));
  const ObjectKey key = leader_lease_key();
  ASSERT_TRUE(store_.remove({&key, 1}));
  EXPECT_FALSE(renews(*a));
  EXPECT_TRUE(leads(*a));
}

TEST_F(LeadershipTest, RenewalsAreFew) {
  const auto a = controller("a");
  ASSERT_TRUE(a->wait_to_lead({}));
  std::jthread renewing([&](const std::stop_token& stop) { a->keep_renewing([] { ADD_FAILURE(); }, stop); });
  for (int second = 0; second < 600; ++second) {
    clock_.wait_for_sleepers(1);
    clock_.advance(Seconds(1));
  }
  clock_.wait_for_sleepers(1);
  EXPECT_LE(store_.writes(leader_lease_key()), 91) << "three in 20 s";
  EXPECT_GE(store_.writes(leader_lease_key()), 80);
}

TEST_F(LeadershipTest, ARenewalThatFailedIsTriedAgainSoon) {
  const auto a = controller("a");
  ASSERT_TRUE(a->wait_to_lead({}));
  std::jthread renewing([&](const std::stop_token& stop) { a->keep_renewing([] { ADD_FAILURE(); }, stop); });
  store_.faults.fail_next(StoreCall::get, 5);
  for (int second = 0; second < 40; ++second) {
    clock_.wait_for_sleepers(1);
    EXPECT_TRUE(a->within_lease({})) << second;
    clock_.advance(Seconds(1));
  }
}

TEST_F(LeadershipTest, WhoStandsByLeadsWithin30Seconds) {
  const auto a = controller("a"), b = controller("b");
  ASSERT_TRUE(leads(*a));
  EXPECT_FALSE(leads(*b));
  clock_.advance(Millis(1));  // just after that look, the leader renews for the last time
  ASSERT_TRUE(renews(*a));
  Millis waited{0};
  while (waited < Seconds(60) && !leads(*b)) {
    clock_.advance(kLength / 4);  // as wait_to_lead() looks
    waited += kLength / 4;
  }
  EXPECT_LE(waited, Seconds(30));
}

TEST_F(LeadershipTest, WhoStandsByLooksAgainAndAgain) {
  const auto a = controller("a"), b = controller("b");
  ASSERT_TRUE(leads(*a));
  bool leads = false;
  std::jthread waiting([&](const std::stop_token& stop) { leads = b->wait_to_lead(stop); });
  for (int i = 0; i < 3; ++i) {
    clock_.wait_for_sleepers(1);
    clock_.advance(kLength / 4);
  }
  clock_.wait_for_sleepers(1);
  a->release();
  clock_.advance(kLength / 4);
  waiting.join();
  EXPECT_TRUE(leads);
}

// Two controllers, a cloud that shows launches late to whoever did not make them, and something that goes wrong at each
// single call of the first leader.

struct Killed {};

enum class Mishap { kill, pause, lose_answer };

class Pair {
 public:
  static constexpr Millis kShownLate{45'000};
  static constexpr int kMax = 6;

  // The cloud as one process sees it.
  class View final : public Fleet {
   public:
    explicit View(Pair& pair) : pair_(pair) {}
    Millis shown_within() const override { return Millis(60'000); }
    Result<std::vector<Instance>> describe(const CallLimits& /*limits*/) override {
      auto all = pair_.cloud_.describe();
      std::erase_if(*all, [&](const Instance& one) {
        return pair_.clock_.wall_now() - one.launched_at < kShownLate && !mine_.contains(one.id);
      });
      return all;
    }
    // Limits are ignored: a call that was made may arrive later than its caller hoped.
    Result<std::vector<Instance>> launch(const LaunchRequest& request, const CallLimits& /*limits*/) override {
      if (auto noted = request.note("plan"); !noted) return fail(noted.error());
      auto started = pair_.cloud_.launch(request);
      if (started) {
        for (const Instance& one : *started) mine_.insert(one.id);
      }
      pair_.check_maximum();
      return started;
    }
    Result<void> terminate(std::span<const InstanceId> ids, const CallLimits& /*limits*/) override {
      return pair_.cloud_.terminate(ids);
    }

   private:
    Pair& pair_;
    std::set<InstanceId> mine_;
  };

  class Node {
   public:
    Node(Pair& pair, const std::string& name)
        : pair_(pair),
          view_(pair),
          leadership_(pair.store_, pair.clock_, pair.rng_, pair.metrics_,
                      {.length = kLength, .holder = name, .launches_kept = view_.shown_within()}) {}

    // A second of this process.
    void step() {
      Node* const before = std::exchange(pair_.current_, this);
      try {
        act();
      } catch (const Killed&) {
        pair_.current_ = before;
        throw;
      }
      pair_.current_ = before;
    }
    bool leading() const { return term_.has_value(); }

   private:
    struct Term {
      Term(Pair& pair, View& view, Leadership& leadership)
          : round(decide, {.max = kMax}, starts),
            applier({.fleet = view,
                     .clock = pair.clock_,
                     .rng = pair.rng_,
                     .metrics = pair.metrics_,
                     .starts = starts,
                     .leadership = &leadership}) {}
      static Decision decide(const Observation& seen, PolicyState&, const ScalingRules&) {
        return {.wanted = static_cast<int>(seen.depth.visible), .why = "", .ending = Ending::terminate};
      }
      StartFailures starts{{}};
      Round round;
      Applier applier;
    };

    void act() {
      const MonoTime now = pair_.clock_.mono_now();
      if (!term_) {
        if (!leadership_.try_to_lead({}).value_or(false)) return;
        term_.emplace(pair_, view_, leadership_);
        renew_at_ = now + kLength / 3;
      }
      if (now >= renew_at_) {
        renew_at_ = now + kLength / 3;
        const auto renewed = leadership_.renew({});
        if (renewed && !*renewed) return term_.reset();
      }
      const auto there = view_.describe({});
      const Observation seen{
          .at = now, .depth = {.visible = pair_.wanted}, .instances = *there, .wall = pair_.clock_.wall_now()};
      (void)term_->applier.apply(term_->round.decide(seen).actions, {});
    }

    Pair& pair_;
    View view_;
    Leadership leadership_;
    std::optional<Term> term_;
    MonoTime renew_at_{};
  };

  // at_call: the mishap happens at that call of "a", counted from 1.
  Pair(Mishap mishap, int at_call) {
    const auto hook = [this, mishap, at_call](auto) {
      if (current_ == nullptr || current_ != a_.get() || ++calls_ != at_call) return;
      happened = true;
      if (mishap == Mishap::kill) throw Killed();
      if (mishap == Mishap::pause) run(70, /*only_b=*/true);
    };
    store_.faults.on_call(hook);
    cloud_.faults.on_call(hook);
    if (mishap == Mishap::lose_answer) {
      const FaultAt after = FaultAt::after;
      if (at_call % 2 == 0) cloud_.faults.fail_next(FleetCall::launch, 1 + at_call / 8, test::injected_error(), after);
      if (at_call % 3 == 0) store_.faults.fail_next(StoreCall::put, 1 + at_call / 9, test::injected_error(), after);
    }
    a_ = std::make_unique<Node>(*this, "a");
    b_ = std::make_unique<Node>(*this, "b");
  }

  void run(int seconds, bool only_b = false) {
    for (int i = 0; i < seconds; ++i) {
      clock_.advance(Seconds(1));
      if (!only_b && a_) {
        try {
          a_->step();
        } catch (const Killed&) {
          a_.reset();
        }
      }
      b_->step();
      check_maximum();
    }
  }
  void check_maximum() { EXPECT_LE(cloud_.describe()->size(), static_cast<std::size_t>(kMax)); }
  int leaders() const { return static_cast<int>(a_ && a_->leading()) + static_cast<int>(b_->leading()); }
  int launched() const { return cloud_.launched(); }
  std::size_t there() { return cloud_.describe()->size(); }

  std::uint64_t wanted = 0;
  bool happened = false;

 private:
  test::FakeClock clock_;
  test::SeededRng rng_;
  Metrics metrics_;
  test::MemoryStore store_{clock_};
  test::FakeFleet cloud_{clock_, {.instances_max = 100}};
  Node* current_ = nullptr;
  int calls_ = 0;
  std::unique_ptr<Node> a_, b_;
};

class TwoControllers : public testing::TestWithParam<Mishap> {};

TEST_P(TwoControllers, NothingIsLaunchedTwiceAndNothingIsLost) {
  int happened = 0;
  const int step = test::shortened_run() ? 4 : 1;
  for (int call = 1; call <= 80; call += step) {
    SCOPED_TRACE("at call " + std::to_string(call));
    Pair pair(GetParam(), call);
    pair.run(3);
    pair.wanted = 3;
    pair.run(3);
    pair.wanted = 5;
    pair.run(120);
    happened += static_cast<int>(pair.happened);
    EXPECT_EQ(pair.launched(), 5);
    EXPECT_EQ(pair.there(), 5U);
    EXPECT_EQ(pair.leaders(), 1);
    pair.wanted = 1;
    pair.run(60);
    EXPECT_EQ(pair.there(), 1U);
    pair.wanted = 6;
    pair.run(60);
    EXPECT_EQ(pair.there(), 6U);
    EXPECT_EQ(pair.launched(), 10);
    if (HasFailure()) return;
  }
  EXPECT_GT(happened, 60 / step) << "calls at which something went wrong";
}

INSTANTIATE_TEST_SUITE_P(Mishaps, TwoControllers, testing::Values(Mishap::kill, Mishap::pause, Mishap::lose_answer),
                         [](const auto& one) {
                           return one.param == Mishap::kill    ? "Kill"
                                  : one.param == Mishap::pause ? "Pause"
                                                               : "LoseAnswer";
                         });

}  // namespace
}  // namespace imgrec::leadership_test
