#include "lib/signals/signal_sender.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "lib/signals/signalling_queue.hpp"
#include "tests/support/fake_clock.hpp"
#include "tests/support/memory_queue.hpp"
#include "tests/support/wait_until.hpp"

namespace imgrec::signal_sender_test {
namespace {

using test::QueueCall;
using testing::IsEmpty;

class SignalSenderTest : public testing::Test {
 protected:
  void start() {
    sender_.emplace(queue_, clock_, rng_, SignalSender::Options{.sender = "app-tier-3"});
    clock_.wait_for_sleepers(1);
  }
  void pass(Millis time) {
    clock_.advance(time);
    clock_.wait_for_sleepers(1);
  }
  // What was sent since the last call; waits for the first of it.
  std::vector<Signal> sent(std::size_t expected) {
    test::wait_until([&] { return queue_.bodies().size() >= seen_ + expected; });
    std::vector<Signal> signals;
    const auto bodies = queue_.bodies();
    for (std::size_t i = seen_; i < bodies.size(); ++i) signals.push_back(*parse_signal(bodies[i]));
    seen_ = bodies.size();
    return signals;
  }

  test::FakeClock clock_;
  test::SeededRng rng_;
  test::MemoryQueue queue_{clock_};
  std::optional<SignalSender> sender_;
  std::size_t seen_ = 0;
};

TEST_F(SignalSenderTest, TheFirstImageIsToldAtOnceAndLaterOnesTogether) {
  start();
  sender_->enqueued(3);
  const auto first = sent(1);
  ASSERT_EQ(first.size(), 1U);
  EXPECT_EQ(first[0].kind, SignalKind::enqueued);
  EXPECT_EQ(first[0].images, 3U);
  EXPECT_EQ(first[0].span, Millis(0));
  EXPECT_EQ(first[0].sequence, 1U);
  clock_.wait_for_sleepers(1);
  pass(Millis(1'000));
  sender_->enqueued(4);
  sender_->enqueued(5);
  pass(Millis(3'999));
  EXPECT_THAT(sent(0), IsEmpty());
  pass(Millis(1));
  const auto later = sent(1);
  ASSERT_EQ(later.size(), 1U);
  EXPECT_EQ(later[0].images, 9U);
  EXPECT_EQ(later[0].span, Millis(4'000));
  EXPECT_EQ(later[0].sequence, 2U);
  pass(Seconds(60));
  EXPECT_THAT(sent(0), IsEmpty()) << "nothing to tell";
  sender_->enqueued(1);
  EXPECT_EQ(sent(1).size(), 1U) << "after a quiet time at once";
}

TEST_F(SignalSenderTest, AWorkerTellsWhatItDid) {
  start();
  sender_->ready();
  const auto ready = sent(1);
  ASSERT_EQ(ready.size(), 1U);
  EXPECT_EQ(ready[0].kind, SignalKind::ready);
  EXPECT_EQ(ready[0].sender, "app-tier-3");
  clock_.wait_for_sleepers(1);
  sender_->holds(4, 0);
  clock_.wait_for_sleepers(1);
  pass(Millis(2'000));
  sender_->holds(0, 4);
  clock_.wait_for_sleepers(1);
  pass(Millis(3'000));
  const auto report = sent(1);  // five seconds after it became ready
  ASSERT_EQ(report.size(), 1U);
  EXPECT_EQ(report[0].kind, SignalKind::worked);
  EXPECT_EQ(report[0].images, 4U);
  EXPECT_EQ(report[0].span, Millis(5'000));
  EXPECT_DOUBLE_EQ(report[0].busy_share, 0.4);
  EXPECT_EQ(report[0].idle, Millis(0)) << "idle for a moment is not idle";
  pass(Millis(5'000));
  const auto idle = sent(1);
  ASSERT_EQ(idle.size(), 1U);
  EXPECT_EQ(idle[0].idle, Millis(8'000));
  EXPECT_EQ(idle[0].images, 0U);
  pass(Seconds(59));
  EXPECT_THAT(sent(0), IsEmpty());
  pass(Seconds(1));
  EXPECT_EQ(sent(1).size(), 1U) << "it is still there";
}

TEST_F(SignalSenderTest, OneThatSaidItWasIdleTellsThatItWorksAgain) {
  start();
  sender_->ready();
  sent(1);
  clock_.wait_for_sleepers(1);
  pass(Seconds(5));
  ASSERT_EQ(sent(1).at(0).idle, Seconds(5));
  pass(Seconds(20));
  sender_->holds(1, 0);
  const auto works = sent(1);
  ASSERT_EQ(works.size(), 1U);
  EXPECT_EQ(works[0].idle, Millis(0));
}

TEST_F(SignalSenderTest, DrainingAndEndingAreToldAtOnce) {
  start();
  sender_->ready();
  sent(1);
  sender_->draining();
  EXPECT_EQ(sent(1).at(0).kind, SignalKind::draining);
  sender_->ended();
  sender_.reset();
  EXPECT_EQ(sent(1).at(0).kind, SignalKind::ended);
}

TEST_F(SignalSenderTest, WhatCannotBeSentIsDroppedAndSaidOnce) {
  start();
  testing::internal::CaptureStderr();
  queue_.faults.set_outage(test::injected_error());
  for (int i = 0; i < 3; ++i) {
    sender_->enqueued(1);
    test::wait_until([&] { return queue_.faults.calls(QueueCall::send) > i; });
    clock_.wait_for_sleepers(1);
    pass(Seconds(10));
  }
  queue_.faults.set_outage(std::nullopt);
  sender_->enqueued(7);
  EXPECT_EQ(sent(1).at(0).images, 7U);
  sender_.reset();
  const std::string log = testing::internal::GetCapturedStderr();
  const auto first = log.find("sending signals to the controller fails");
  ASSERT_NE(first, std::string::npos) << log;
  EXPECT_EQ(log.find("sending signals to the controller fails", first + 1), std::string::npos) << log;
}

TEST_F(SignalSenderTest, AQueueTellsWhatItAccepted) {
  start();
  test::MemoryQueue requests(clock_);
  SignallingQueue queue(requests, *sender_);
  const std::vector<OutgoingMessage> three(3, OutgoingMessage{.body = "{}", .group_id = "", .dedup_id = ""});
  EXPECT_TRUE(queue.send(three, {}));
  EXPECT_EQ(sent(1).at(0).images, 3U);
  clock_.wait_for_sleepers(1);
  requests.faults.fail_next(QueueCall::send);
  EXPECT_FALSE(queue.send(three, {}));
  pass(Seconds(10));
  EXPECT_THAT(sent(0), IsEmpty());
  EXPECT_EQ(queue.depth({})->visible, 3U);
}

}  // namespace
}  // namespace imgrec::signal_sender_test
