// A worker with nothing to do takes a request to stop; one with work does not.
#include "lib/job/shutdown.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/roles/worker/worker_fixture.hpp"

namespace imgrec::shutdown_test {
namespace {

using test::QueueCall;

class WorkerShutdownTest : public test::WorkerFixture {
 protected:
  WorkerShutdownTest() {
    settings_.worker.exit_when_idle = Seconds(0);
    settings_.worker.shutdown_check = Seconds(2);
  }
  void ask(const std::string& id) { send(to_json(ShutdownRequest{.id = id, .requested_at = clock_.wall_now()})); }
  void send(const std::string& body) {
    const OutgoingMessage message{.body = body, .group_id = "g", .dedup_id = sha256_hex(body), .delay = Millis(0)};
    ASSERT_TRUE(asked_->send({&message, 1})->front());
  }
  std::vector<ShutdownConfirmation> confirmations() {
    std::vector<ShutdownConfirmation> all;
    for (const std::string& body : confirmed_->bodies()) all.push_back(*parse_shutdown_confirmation(body));
    return all;
  }
  bool is_asked() { return !asked_->bodies().empty(); }
  /// Lets so much time pass, in small steps.
  void pass(Millis time) {
    const MonoTime end = clock_.mono_now() + time;
    until([&] { return clock_.mono_now() >= end; }, Millis(200));
  }

  std::shared_ptr<test::MemoryQueue> asked_ = queues_.create("imgrec-shutdown-request", {.fifo = true});
  std::shared_ptr<test::MemoryQueue> confirmed_ = queues_.create("imgrec-shutdown-confirmed", {.fifo = true});
};

TEST_F(WorkerShutdownTest, AnIdleWorkerStopsConfirmsAndWaitsForItsEnd) {
  start();
  ask("r-1");
  until([&] { return !confirmations().empty(); });
  const auto all = confirmations();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].request, "r-1");
  EXPECT_EQ(all[0].instance, InstanceId("w-1"));
  EXPECT_EQ(all[0].app_tier_id, "app-tier-1");
  submit("an image that comes later");
  pass(Seconds(30));
  EXPECT_EQ(visible(), 1u) << "it takes nothing new";
  EXPECT_FALSE(ended_) << "it waits";
  worker_.request_stop();
  finish();
  EXPECT_TRUE(outcome_);
}

TEST_F(WorkerShutdownTest, AWorkerThatNobodyEndsEndsByItself) {
  start();
  ask("r-1");
  until([&] { return !confirmations().empty(); });
  until([&] { return ended_.load(); }, Seconds(1));
  EXPECT_TRUE(outcome_);
}

TEST_F(WorkerShutdownTest, WorkInHandIsFinishedAndNothingIsDeliveredTwice) {
  classifiers_.hold();
  for (int i = 0; i < 4; ++i) submit("image " + std::to_string(i));
  start();
  until([&] { return requests_->depth()->in_flight >= 2; });
  ask("r-1");
  pass(Seconds(10));
  EXPECT_TRUE(is_asked()) << "it has work";
  EXPECT_EQ(asked_->depth()->in_flight, 0u);
  classifiers_.release();
  until([&] { return !confirmations().empty(); });
  expect_all_done();
  for (const auto& [job, answer] : answers()) EXPECT_EQ(answers().count(job), 1u);
}

// The poll that is under way when the last image is done began while there was work.
TEST_F(WorkerShutdownTest, ARequestIsTakenSoonAfterTheLastImage) {
  settings_.worker.poll_wait = Seconds(20);
  classifiers_.hold();
  submit("the last image");
  start();
  until([&] { return requests_->depth()->in_flight == 1; });
  pass(Millis(400));
  ask("r-1");
  classifiers_.release();
  until([&] { return requests_->bodies().empty(); });
  const auto polls = [&] { return requests_->faults.calls(QueueCall::receive); };
  // Each step ends the poll that is under way, or lets one begin: three are enough, and eight are less than poll_wait.
  for (int step = 0; step < 8 && confirmations().empty(); ++step) {
    const auto before = polls();
    clock_.advance(settings_.worker.shutdown_check);
    at_once([&] { return !confirmations().empty() || polls() > before; });
    if (HasFatalFailure()) return;
  }
  EXPECT_EQ(confirmations().size(), 1U);
  expect_all_done();
}

TEST_F(WorkerShutdownTest, ARequestTakenBackInTimeStopsNobody) {
  start();
  pass(Seconds(1));
  ask("r-1");
  const auto taken_back = asked_->receive({.messages_max = 1}, {});
  ASSERT_EQ(taken_back->size(), 1u);
  ASSERT_TRUE(asked_->remove({{taken_back->front().receipt}}));
  pass(Seconds(10));
  submit("an image");
  until([&] { return requests_->bodies().empty(); });
  expect_all_done();
  EXPECT_TRUE(confirmations().empty());
}

TEST_F(WorkerShutdownTest, TheConfirmationIsSentWhenTheQueueWorksAgain) {
  confirmed_->faults.set_outage(test::injected_error());
  start();
  ask("r-1");
  until([&] { return !is_asked(); });
  pass(Seconds(30));
  EXPECT_TRUE(confirmations().empty());
  confirmed_->faults.set_outage(std::nullopt);
  until([&] { return !confirmations().empty(); });
  for (const ShutdownConfirmation& one : confirmations()) EXPECT_EQ(one.request, "r-1");
}

TEST_F(WorkerShutdownTest, WhatIsNoRequestIsDroppedAndStopsNobody) {
  send("{\"v\":1}");
  start();
  until([&] { return !is_asked(); });
  submit("an image");
  until([&] { return requests_->bodies().empty(); });
  EXPECT_TRUE(confirmations().empty());
}

TEST_F(WorkerShutdownTest, ARequestOfAnotherVersionStaysForAWorkerOfThatVersion) {
  send(R"({"v":2,"request":"r-1","requested_at":"2026-01-01T00:00:00.000Z"})");
  start();
  until([&] { return asked_->faults.calls(QueueCall::receive) >= 3; });
  at_once([&] { return asked_->depth()->visible == 1U; });  // it was given back, and does not wait until it shows again
  submit("an image");
  until([&] { return requests_->bodies().empty(); });
  EXPECT_TRUE(confirmations().empty());
}

TEST_F(WorkerShutdownTest, AWorkerOfNoFleetLooksForNoRequests) {
  settings_.worker.app_tier_id.clear();
  start();
  ask("r-1");
  pass(Seconds(30));
  EXPECT_TRUE(is_asked());
  EXPECT_EQ(asked_->faults.calls(QueueCall::receive), 0);
}

}  // namespace
}  // namespace imgrec::shutdown_test
