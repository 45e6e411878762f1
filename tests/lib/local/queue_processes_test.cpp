// The queue between processes: nothing accepted is lost by kill -9, nothing is delivered twice within its visibility,
// and a long poll ends soon after a send of another process.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "lib/local/sqlite_queue.hpp"
#include "tests/lib/local/child_process.hpp"
#include "tests/support/temp_dir.hpp"

namespace imgrec::queue_processes_test {
namespace {

using test::ChildProcess;

class QueueProcesses : public testing::Test {
 protected:
  std::shared_ptr<MessageQueue> open() {
    auto opened = open_sqlite_queues(file_, {[](const std::string&) { return SqliteQueueOptions{}; }}, system_clock(),
                                     system_rng());
    EXPECT_TRUE(opened) << describe(opened.error());
    return (*opened)->open("q").value();
  }
  void send(MessageQueue& queue, const std::string& body) {
    const OutgoingMessage message{.body = body, .group_id = {}, .dedup_id = {}};
    const auto outcomes = queue.send({&message, 1}, Deadline::in(system_clock(), Seconds(10)));
    ASSERT_TRUE(outcomes && outcomes->front());
  }
  // Everything, removed as it comes, until nothing is left. Long enough for leases of killed receivers to end.
  std::multiset<std::string> drain(MessageQueue& queue) {
    std::multiset<std::string> all;
    while (true) {
      const auto depth = queue.depth();
      EXPECT_TRUE(depth);
      if (depth->visible + depth->in_flight == 0) return all;
      const auto messages = queue.receive({.wait = Seconds(1)}, {});
      EXPECT_TRUE(messages);
      std::vector<Receipt> receipts;
      for (const Message& message : *messages) {
        all.insert(message.body);
        receipts.push_back(message.receipt);
      }
      const bool removed = receipts.empty() || queue.remove(receipts);
      EXPECT_TRUE(removed);
    }
  }

  test::TempDir dir_;
  const std::filesystem::path file_ = dir_.path() / "queues.db";
};

TEST_F(QueueProcesses, ReceiversNeverShareAMessage) {
  std::vector<ChildProcess> receivers;
  for (int i = 0; i < 3; ++i)
    receivers.emplace_back(std::vector<std::string>{"receive", file_.string(), "600000", "remove"});
  for (ChildProcess& receiver : receivers) ASSERT_EQ(receiver.line(), "up");
  std::vector<ChildProcess> senders;
  constexpr int kEach = 300;
  for (const char* name : {"a", "b"}) {
    senders.emplace_back(std::vector<std::string>{"send", file_.string(), name, std::to_string(kEach)});
  }
  for (ChildProcess& sender : senders) {
    EXPECT_EQ(sender.lines().size(), static_cast<std::size_t>(kEach));
    EXPECT_EQ(sender.wait(), 0);
  }
  const auto queue = open();
  EXPECT_TRUE(test::holds_within(Seconds(30), [&] {
    const auto depth = queue->depth();
    return depth && depth->visible + depth->in_flight == 0;
  }));
  std::map<std::string, int> deliveries;
  for (ChildProcess& receiver : receivers) {
    receiver.kill();
    for (const std::string& line : receiver.lines()) {
      ASSERT_FALSE(line.starts_with("error")) << line;
      if (!line.starts_with("removed ")) ++deliveries[line];
    }
  }
  EXPECT_EQ(deliveries.size(), static_cast<std::size_t>(2 * kEach));
  for (const auto& [body, times] : deliveries) EXPECT_EQ(times, 1) << body;
}

TEST_F(QueueProcesses, KillingEverythingLosesNothing) {
  std::set<std::string> accepted;
  std::set<std::string> delivered, removed;
  for (int round = 0; round < 5; ++round) {
    ChildProcess receiver({"receive", file_.string(), "500", "remove"});
    ASSERT_EQ(receiver.line(), "up");
    std::vector<ChildProcess> senders;
    for (const char* name : {"a", "b"}) {
      senders.emplace_back(std::vector<std::string>{"send", file_.string(), std::to_string(round) + name, "100000"});
    }
    // Some way into the loops, at a different point each round.
    for (int lines = 0; lines < 40 + 30 * round; ++lines) accepted.insert(senders[0].line());
    for (const ChildProcess& sender : senders) sender.signal(SIGKILL);
    receiver.signal(SIGKILL);
    for (ChildProcess& sender : senders) {
      sender.kill();
      for (const std::string& line : sender.lines()) accepted.insert(line);
    }
    receiver.kill();
    for (const std::string& line : receiver.lines()) {
      if (line.starts_with("removed "))
        removed.insert(line.substr(8));
      else
        delivered.insert(line);
    }
  }
  ASSERT_GT(accepted.size(), 100U);
  ASSERT_GT(removed.size(), 0U);
  const auto left = drain(*open());
  // A receiver says what it received before it removes it: so what is neither there nor was said is lost.
  for (const std::string& body : accepted) EXPECT_TRUE(left.contains(body) || delivered.contains(body)) << body;
  for (const std::string& body : removed) EXPECT_FALSE(left.contains(body)) << body << " came back after its removal";
}

TEST_F(QueueProcesses, WithoutReceiversEverythingAcceptedIsThere) {
  std::set<std::string> accepted;
  for (int round = 0; round < 3; ++round) {
    std::vector<ChildProcess> senders;
    for (const char* name : {"a", "b"}) {
      senders.emplace_back(std::vector<std::string>{"send", file_.string(), std::to_string(round) + name, "100000"});
    }
    for (int lines = 0; lines < 100; ++lines) accepted.insert(senders[0].line());
    for (const ChildProcess& sender : senders) sender.signal(SIGKILL);
    for (ChildProcess& sender : senders) {
      sender.kill();
      for (const std::string& line : sender.lines()) accepted.insert(line);
    }
  }
  const auto left = drain(*open());
  for (const std::string& body : accepted) EXPECT_EQ(left.count(body), 1U) << body;
}

TEST_F(QueueProcesses, ALeaseOfAKilledReceiverEnds) {
  const auto queue = open();
  ChildProcess receiver({"receive", file_.string(), "300", "keep"});
  ASSERT_EQ(receiver.line(), "up");
  send(*queue, "x");
  ASSERT_EQ(receiver.line(), "x");
  receiver.kill();
  const auto messages = queue->receive({.wait = Seconds(20)}, {});
  ASSERT_EQ(messages->size(), 1U);
  EXPECT_GE(messages->front().receive_count, 2);
}

TEST_F(QueueProcesses, APollWakesSoonAfterASendOfAnotherProcess) {
  const auto queue = open();
  ChildProcess receiver({"receive", file_.string(), "600000", "keep"});
  ASSERT_EQ(receiver.line(), "up");
  std::vector<double> ms;
  for (int i = 0; i < 20; ++i) {
    const MonoTime start = system_clock().mono_now();
    send(*queue, std::to_string(i));
    ASSERT_EQ(receiver.line(), std::to_string(i));
    ms.push_back(elapsed_ms(start, system_clock().mono_now()));
  }
  std::ranges::sort(ms);
  // With the send and the answer through a pipe. The median, or on a machine that is busy the better ones.
  EXPECT_LE(ms[5], 20) << "median " << ms[10];
}

}  // namespace
}  // namespace imgrec::queue_processes_test
