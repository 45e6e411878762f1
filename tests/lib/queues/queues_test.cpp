#include "lib/queues/queues.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace imgrec::queues_test {
namespace {

Config web_1() {
  Config config;
  config.web.node = "web-1";
  return config;
}

TEST(QueueRoster, NamesEveryQueueOnce) {
  std::set<std::string> names;
  std::set<QueueKind> kinds;
  for (const QueueRow& row : queue_roster(web_1())) {
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
    EXPECT_TRUE(kinds.insert(row.kind).second) << row.name;
    EXPECT_EQ(queue_name(web_1(), row.kind), row.name);
  }
  EXPECT_EQ(names, (std::set<std::string>{"imgrec-dead", "imgrec-requests", "imgrec-responses-web-1",
                                          "imgrec-shutdown-request", "imgrec-shutdown-confirmed", "imgrec-signals"}));
}

TEST(QueueRoster, HasNoQueueOfSignalsWhereTheyAreOff) {
  Config config = web_1();
  config.queue.signals = "";
  EXPECT_EQ(queue_name(config, QueueKind::signals), "");
  EXPECT_EQ(queue_roster(config).size(), queue_roster(web_1()).size() - 1);
  EXPECT_FALSE(find_queue(config, ""));
}

TEST(QueueRoster, HasDeadLetterQueuesBeforeTheQueuesThatNameThem) {
  for (const bool fifo : {false, true}) {
    Config config = web_1();
    config.queue.fifo = fifo;
    std::set<std::string> before;
    for (const QueueRow& row : queue_roster(config)) {
      EXPECT_EQ(row.dead_letter.empty(), row.receives_max == 0) << row.name;
      if (!row.dead_letter.empty()) {
        EXPECT_TRUE(before.contains(row.dead_letter)) << row.name;
        const auto dead = find_queue(config, row.dead_letter);
        ASSERT_TRUE(dead);
        EXPECT_EQ(dead->fifo, row.fifo) << "SQS wants both of one kind";
        EXPECT_GE(dead->retention, row.retention) << "a message keeps its age when it moves";
        EXPECT_EQ(dead->receives_max, 0);
      }
      before.insert(row.name);
    }
  }
}

// What nobody sends to, or nobody receives from, is no queue.
TEST(QueueRoster, EveryQueueHasSomebodyAtBothEnds) {
  for (const QueueRow& row : queue_roster(web_1())) {
    const QueueUses& uses = row.uses;
    const unsigned all = uses.web | uses.worker | uses.controller;
    EXPECT_NE(all & kSendsTo, 0U) << row.name;
    EXPECT_NE(all & kReceivesFrom, 0U) << row.name;
    EXPECT_EQ(uses.deployer, kMakes | kWatches) << row.name;
    EXPECT_EQ((uses.web & kMakes) != 0, row.owner == QueueOwner::this_node) << row.name;
  }
}

TEST(QueueRoster, FollowsTheSettings) {
  Config config = web_1();
  config.queue.request = "photos";
  config.queue.receives_max = 7;
  config.queue.visibility = Millis(90'000);
  const auto requests = find_queue(config, "photos");
  ASSERT_TRUE(requests);
  EXPECT_EQ(requests->receives_max, 7);
  EXPECT_EQ(requests->visibility, Millis(90'000));
  EXPECT_EQ(requests->dead_letter, "imgrec-dead");
  EXPECT_FALSE(find_queue(config, "imgrec-requests"));
  EXPECT_EQ(find_queue(config, "imgrec-responses-web-1")->retention, std::chrono::hours(1));
  config.web.wait_max = Millis(7'200'500);
  EXPECT_EQ(find_queue(config, "imgrec-responses-web-1")->retention, Seconds(7201));
}

TEST(QueueRoster, KnowsOtherNodesResponseQueuesAndMakesNone) {
  const auto other = find_queue(web_1(), "imgrec-responses-web-2");
  ASSERT_TRUE(other);
  EXPECT_EQ(other->owner, QueueOwner::another_node);
  EXPECT_EQ(other->name, "imgrec-responses-web-2");
  EXPECT_EQ(find_queue(web_1(), "imgrec-responses-web-1")->owner, QueueOwner::this_node);
  for (const char* none : {"", "somebody-elses", "imgrec-responses", "imgrec-responses-", "imgrec-responsesx"}) {
    EXPECT_FALSE(find_queue(web_1(), none)) << none;
    EXPECT_FALSE(is_response_queue({}, none)) << none;
  }
}

}  // namespace
}  // namespace imgrec::queues_test
