// What every MessageQueue has to do, whoever implements it: instantiate QueueContract with a harness.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lib/base/clock.hpp"
#include "lib/ports/message_queue.hpp"

namespace imgrec::test {

struct QueueSetup {
  bool fifo = false;
  int receives_max = 0;  // above 0: with a dead-letter queue
};

struct QueuePair {
  std::shared_ptr<MessageQueue> queue;
  std::shared_ptr<MessageQueue> dead_letter;  // null without receives_max
};

/// One test's queues and their time.
class QueueWorld {
 public:
  virtual ~QueueWorld() = default;
  /// New, empty queues.
  virtual QueuePair make(const QueueSetup& setup) = 0;
  virtual Clock& clock() = 0;
  /// Time passes, really or not.
  virtual void advance(Millis duration) = 0;
  /// The same, when another thread is in a long poll: not before it waits.
  virtual void advance_during_poll(Millis duration) = 0;
};

struct QueueHarness {
  std::string name;
  std::function<std::unique_ptr<QueueWorld>()> make_world;
  bool fifo = true;
  bool tells_stale_receipts = true;  // SQS answers success to some stale receipts (and does nothing)
  bool counts_returns = true;        // a message that its holder returned was delivered once more
  bool exact_depth = true;           // SQS approximates
  bool fake_time = true;             // else tests that need minutes are skipped
  Millis receive_wait{0};            // how long a receive has to wait to see what is there
};

inline std::ostream& operator<<(std::ostream& out, const QueueHarness& harness) {
  return out << harness.name;
}

class QueueContract : public testing::TestWithParam<QueueHarness> {
 protected:
  void SetUp() override { world_ = GetParam().make_world(); }

  QueuePair make(const QueueSetup& setup = {}) { return world_->make(setup); }
  Deadline soon() { return Deadline::in(world_->clock(), Seconds(30)); }
  ReceiveOptions now(Millis visibility = Seconds(30), int messages_max = 10) const {
    return {.messages_max = messages_max, .wait = GetParam().receive_wait, .visibility = visibility};
  }
  /// Sends one message, which has to succeed.
  MessageId send(MessageQueue& queue, const OutgoingMessage& message);
  MessageId send(MessageQueue& queue, const std::string& body) {
    return send(queue, OutgoingMessage{.body = body, .group_id = {}, .dedup_id = {}});
  }
  MessageId send_fifo(MessageQueue& queue, const std::string& group, const std::string& body) {
    return send(queue, OutgoingMessage{.body = body, .group_id = group, .dedup_id = group + body});
  }
  /// What can be received now, at most 10.
  std::vector<Message> receive(MessageQueue& queue, Millis visibility = Seconds(30), int messages_max = 10);
  /// Exactly one message, or the test fails and an empty one is returned.
  Message receive_one(MessageQueue& queue, Millis visibility = Seconds(30));
  void expect_nothing(MessageQueue& queue) { EXPECT_TRUE(receive(queue, Seconds(1)).empty()); }
  void expect_removed(MessageQueue& queue, const Receipt& receipt);
  void expect_stale(const Result<std::vector<Result<void>>>& outcomes);

  std::unique_ptr<QueueWorld> world_;
};

/// Instantiate it beside QueueContract.
class FifoContract : public QueueContract {
 protected:
  void SetUp() override {
    if (!GetParam().fifo) GTEST_SKIP() << "no FIFO queues here";
    QueueContract::SetUp();
  }
  std::shared_ptr<MessageQueue> fifo() { return make({.fifo = true}).queue; }
};

/// The bodies in their order.
std::vector<std::string> bodies(const std::vector<Message>& messages);

}  // namespace imgrec::test
