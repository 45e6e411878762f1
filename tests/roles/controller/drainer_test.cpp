// The controller's half of draining, and both halves together in many orders.
#include "roles/controller/drainer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>

#include "lib/base/log.hpp"
#include "lib/job/shutdown.hpp"
#include "roles/worker/shutdown.hpp"
#include "tests/support/fake_clock.hpp"
#include "tests/support/long_run.hpp"
#include "tests/support/memory_queue.hpp"

namespace imgrec::drainer_test {
namespace {

using test::QueueCall;
using testing::ElementsAre;
using testing::IsEmpty;

class DrainerTest : public testing::Test {
 protected:
  DrainerTest() { log::configure({.level = log::Level::error, .role = {}}); }

  std::unique_ptr<Drainer> make() {
    return std::make_unique<Drainer>(
        queues_, clock_, rng_, metrics_,
        DrainerOptions{.requests = "asked", .confirmations = "confirmed", .timeout = Seconds(60)});
  }
  std::unique_ptr<Shutdown> worker(const std::string& id) {
    return std::make_unique<Shutdown>(queues_, clock_, rng_,
                                      ShutdownOptions{.requests = "asked",
                                                      .confirmations = "confirmed",
                                                      .instance = InstanceId(id),
                                                      .app_tier_id = "app-tier-1",
                                                      .check = Seconds(1)});
  }
  static std::vector<Instance> instances(std::initializer_list<const char*> ids) {
    std::vector<Instance> all;
    for (const char* id : ids)
      all.push_back({.id = InstanceId(id), .state = InstanceState::running, .app_tier_id = {}});
    return all;
  }
  Drains see(std::initializer_list<const char*> ids) { return drainer_->observe(instances(ids), {}); }

  test::FakeClock clock_;
  test::SeededRng rng_;
  Metrics metrics_;
  test::MemoryQueues queues_{clock_, {.make_on_demand = false, .queue = {}}};
  std::shared_ptr<test::MemoryQueue> asked_ = queues_.create("asked", {.fifo = true});
  std::shared_ptr<test::MemoryQueue> confirmed_ = queues_.create("confirmed", {.fifo = true});
  std::unique_ptr<Drainer> drainer_ = make();
};

TEST_F(DrainerTest, ARequestIsTakenConfirmedAndReported) {
  ASSERT_TRUE(see({"i-1", "i-2"}).possible);
  ASSERT_TRUE(drainer_->ask(1, {}));
  EXPECT_EQ(see({"i-1", "i-2"}).requested, 1);
  auto one = worker("i-2");
  clock_.advance(Seconds(1));
  ASSERT_TRUE(one->take({}));
  EXPECT_EQ(see({"i-1", "i-2"}).requested, 1) << "taken, not yet confirmed";
  ASSERT_TRUE(one->confirm({}));
  const Drains drains = see({"i-1", "i-2"});
  EXPECT_EQ(drains.requested, 0);
  EXPECT_THAT(drains.confirmed, ElementsAre(InstanceId("i-2")));
  EXPECT_THAT(see({"i-1", "i-2"}).confirmed, ElementsAre(InstanceId("i-2"))) << "until it is gone";
  EXPECT_THAT(see({"i-1"}).confirmed, IsEmpty());
  EXPECT_THAT(see({"i-1", "i-2"}).confirmed, IsEmpty());
}

TEST_F(DrainerTest, TheConfirmationOfAnEarlierInstanceEndsNobody) {
  ASSERT_TRUE(see({"i-1"}).possible);
  ASSERT_TRUE(drainer_->ask(1, {}));
  auto one = worker("i-0");  // the same App Tier ID, and not there any more
  clock_.advance(Seconds(1));
  ASSERT_TRUE(one->take({}));
  ASSERT_TRUE(one->confirm({}));
  EXPECT_THAT(see({"i-1"}).confirmed, IsEmpty());
}

TEST_F(DrainerTest, AConfirmationOfAnotherVersionStaysForAControllerOfThatVersion) {
  const std::string newer = R"({"v":2,"request":"r","instance":"i-1","confirmed_at":"2026-01-01T00:00:00.000Z"})";
  const OutgoingMessage message{.body = newer, .group_id = "i-1", .dedup_id = "1", .delay = Millis(0)};
  ASSERT_TRUE(confirmed_->send({&message, 1})->front());
  EXPECT_THAT(see({"i-1"}).confirmed, IsEmpty());
  EXPECT_THAT(confirmed_->bodies(), ElementsAre(newer));
}

TEST_F(DrainerTest, RequestsAreTakenBackAsLongAsNoWorkerHasThem) {
  ASSERT_TRUE(see({}).possible);
  ASSERT_TRUE(drainer_->ask(25, {}));
  EXPECT_EQ(see({}).requested, 25);
  auto one = worker("i-1");
  clock_.advance(Seconds(1));
  ASSERT_TRUE(one->take({}));
  ASSERT_TRUE(drainer_->take_back(10, {}));
  EXPECT_EQ(see({"i-1"}).requested, 15);
  ASSERT_TRUE(drainer_->take_back(100, {}));
  EXPECT_EQ(see({"i-1"}).requested, 1) << "a worker has taken it";
  ASSERT_TRUE(one->confirm({}));
  EXPECT_EQ(see({"i-1"}).requested, 0);
  EXPECT_THAT(asked_->bodies(), IsEmpty());
}

TEST_F(DrainerTest, ARequestThatNobodyTakesIsGivenUpOnce) {
  ASSERT_TRUE(see({"i-1"}).possible);
  ASSERT_TRUE(drainer_->ask(2, {}));
  clock_.advance(Seconds(59));
  EXPECT_EQ(see({"i-1"}).overdue, 0);
  clock_.advance(Seconds(1));
  Drains drains = see({"i-1"});
  EXPECT_EQ(drains.overdue, 2);
  EXPECT_EQ(drains.requested, 0);
  EXPECT_THAT(asked_->bodies(), IsEmpty());
  EXPECT_EQ(see({"i-1"}).overdue, 0);
}

TEST_F(DrainerTest, TheNextControllerTakesBackWhatTheLastAskedForAndHearsWhoHadTakenIt) {
  ASSERT_TRUE(see({"i-1", "i-2"}).possible);
  ASSERT_TRUE(drainer_->ask(3, {}));
  auto one = worker("i-1");
  clock_.advance(Seconds(1));
  ASSERT_TRUE(one->take({}));
  drainer_ = make();
  EXPECT_EQ(see({"i-1", "i-2"}).requested, 0);
  ASSERT_TRUE(one->confirm({}));
  EXPECT_THAT(see({"i-1", "i-2"}).confirmed, ElementsAre(InstanceId("i-1")));
  EXPECT_THAT(asked_->bodies(), IsEmpty());
}

TEST_F(DrainerTest, WithoutTheQueuesNothingIsAskedAndTheyAreLookedForAgain) {
  drainer_ = std::make_unique<Drainer>(queues_, clock_, rng_, metrics_,
                                       DrainerOptions{.requests = "later", .confirmations = "confirmed"});
  EXPECT_FALSE(see({}).possible);
  queues_.create("later", {.fifo = true});
  EXPECT_FALSE(see({}).possible) << "not in every round";
  clock_.advance(Seconds(60));
  EXPECT_TRUE(see({}).possible);
}

TEST_F(DrainerTest, AnOutageForgetsNoRequest) {
  ASSERT_TRUE(see({}).possible);
  ASSERT_TRUE(drainer_->ask(2, {}));
  confirmed_->faults.set_outage(test::injected_error());
  EXPECT_FALSE(see({}).possible);
  EXPECT_EQ(see({}).requested, 2);
  confirmed_->faults.set_outage(std::nullopt);
  EXPECT_TRUE(see({}).possible);
}

TEST_F(DrainerTest, MakesNoCallWhileNothingIsAskedFor) {
  ASSERT_TRUE(see({}).possible);
  // At the start it takes back twice what an earlier controller may have asked for.
  for (int i = 0; i < 2; ++i) {
    clock_.advance(Seconds(61));
    ASSERT_TRUE(see({}).possible);
  }
  clock_.advance(Seconds(61));
  const int before = asked_->faults.calls(QueueCall::receive) + confirmed_->faults.calls(QueueCall::receive);
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(see({"i-1"}).possible);
  EXPECT_EQ(asked_->faults.calls(QueueCall::receive) + confirmed_->faults.calls(QueueCall::receive), before);
}

// Workers that get work and finish it, a controller that asks, takes back and is replaced, a worker that dies between
// its two steps, and lost answers of the queues: in 300 random orders of 200 steps.
class Interleaving : public DrainerTest {
 protected:
  struct Worker {
    std::unique_ptr<Shutdown> shutdown;
    bool busy = false, taken = false, confirmed = false;
  };

  void step() {
    const auto chance = dice_() % 100;
    if (chance < 10) {
      (void)drainer_->ask(1 + static_cast<int>(dice_() % 3), {});
    } else if (chance < 18) {
      (void)drainer_->take_back(1 + static_cast<int>(dice_() % 3), {});
    } else if (chance < 35) {
      look();
    } else if (chance < 37) {
      drainer_ = make();
    } else if (chance < 40) {
      (dice_() % 2 != 0 ? asked_ : confirmed_)
          ->faults.fail_next(static_cast<QueueCall>(dice_() % 4), 1, test::injected_error(),
                             dice_() % 2 != 0 ? test::FaultAt::after : test::FaultAt::before);
    } else if (chance < 42 && workers_.size() < 20) {
      const std::string id = "i-" + std::to_string(++last_id_);
      workers_[id].shutdown = worker(id);
    } else if (!workers_.empty()) {
      step_of(dice_() % workers_.size());
    }
    clock_.advance(Millis(dice_() % 1'000));
  }
  void step_of(std::size_t index) {
    const auto at = std::next(workers_.begin(), static_cast<std::ptrdiff_t>(index));
    Worker& one = at->second;
    if (one.confirmed) return;
    if (one.taken) {
      if (dice_() % 20 == 0) {
        workers_.erase(at);  // it dies before it confirms
      } else {
        one.confirmed = one.shutdown->confirm({});
      }
    } else if (dice_() % 3 == 0) {
      one.busy = !one.busy;
    } else if (!one.busy) {
      one.taken = one.shutdown->take({});
    }
  }
  void look() {
    std::vector<Instance> there;
    for (const auto& [id, one] : workers_)
      there.push_back({.id = InstanceId(id), .state = InstanceState::running, .app_tier_id = {}});
    const Drains drains = drainer_->observe(there, {});
    for (const InstanceId& id : drains.confirmed) {
      const auto found = workers_.find(id.str());
      ASSERT_NE(found, workers_.end());
      ASSERT_TRUE(found->second.taken) << id << " was never asked";
      workers_.erase(found);  // terminated
    }
    requested_ = drains.requested;
  }

  std::mt19937 dice_;
  std::map<std::string, Worker> workers_;
  int last_id_ = 0;
  int requested_ = 0;
};

TEST_F(Interleaving, EndsOnlyWhoHasConfirmedAndLeavesNobodyWaitingAndNoRequestBehind) {
  const unsigned seeds = test::shortened_run() ? 60 : 300;
  for (unsigned seed = 0; seed < seeds; ++seed) {
    SCOPED_TRACE(seed);
    dice_.seed(seed);
    workers_.clear();
    for (int i = 0; i < 200; ++i) {
      step();
      if (HasFatalFailure()) return;
    }
    // Nothing new is asked for, and everybody is idle: whoever has taken a request confirms it.
    for (int i = 0; i < 300; ++i) {
      for (auto& [id, one] : workers_) {
        if (one.taken && !one.confirmed) one.confirmed = one.shutdown->confirm({});
      }
      look();
      if (HasFatalFailure()) return;
      clock_.advance(Seconds(1));
    }
    for (const auto& [id, one] : workers_) ASSERT_FALSE(one.taken) << id << " waits for its end";
    ASSERT_EQ(requested_, 0);
    ASSERT_THAT(asked_->bodies(), IsEmpty());
    ASSERT_THAT(confirmed_->bodies(), IsEmpty());
  }
}

}  // namespace
}  // namespace imgrec::drainer_test
