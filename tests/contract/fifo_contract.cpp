// The order and the deduplication of FIFO queues.
#include <gmock/gmock.h>

#include <future>

#include "tests/contract/queue_contract.hpp"

namespace imgrec::test {

using testing::ElementsAre;
using testing::UnorderedElementsAre;

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(FifoContract);

TEST_P(FifoContract, KeepsTheOrderOfAGroup) {
  const auto queue = fifo();
  for (const char* body : {"1", "2", "3"}) send_fifo(*queue, "g", body);
  const auto messages = receive(*queue);
  EXPECT_THAT(bodies(messages), ElementsAre("1", "2", "3"));
  for (const Message& message : messages) EXPECT_EQ(message.group_id, "g");
}

TEST_P(FifoContract, AGroupWithAMessageInFlightDeliversNoOther) {
  const auto queue = fifo();
  send_fifo(*queue, "g", "1");
  send_fifo(*queue, "g", "2");
  const auto first = receive(*queue, Seconds(30), 1);
  ASSERT_THAT(bodies(first), ElementsAre("1"));
  expect_nothing(*queue);
  expect_removed(*queue, first.front().receipt);
  EXPECT_THAT(bodies(receive(*queue)), ElementsAre("2"));
}

TEST_P(FifoContract, OtherGroupsGoOn) {
  const auto queue = fifo();
  send_fifo(*queue, "a", "a1");
  send_fifo(*queue, "a", "a2");
  send_fifo(*queue, "b", "b1");
  ASSERT_THAT(bodies(receive(*queue, Seconds(30), 1)), ElementsAre("a1"));
  EXPECT_THAT(bodies(receive(*queue)), ElementsAre("b1"));
}

TEST_P(FifoContract, KeepsTheOrderWhenDeliveredAgain) {
  const auto queue = fifo();
  send_fifo(*queue, "g", "1");
  send_fifo(*queue, "g", "2");
  ASSERT_THAT(bodies(receive(*queue, Seconds(2), 1)), ElementsAre("1"));
  world_->advance(Seconds(2));
  EXPECT_THAT(bodies(receive(*queue)), ElementsAre("1", "2"));
}

TEST_P(FifoContract, AReturnedMessageComesFirst) {
  const auto queue = fifo();
  for (const char* body : {"1", "2", "3"}) send_fifo(*queue, "g", body);
  const auto taken = receive(*queue, Seconds(600), 2);
  ASSERT_THAT(bodies(taken), ElementsAre("1", "2"));
  for (const Message& message : taken) {
    ASSERT_TRUE(queue->extend({&message.receipt, 1}, Millis(0)).value().front());
  }
  EXPECT_THAT(bodies(receive(*queue)), ElementsAre("1", "2", "3"));
}

TEST_P(FifoContract, RemovingFreesTheGroupForAPoll) {
  const auto queue = fifo();
  send_fifo(*queue, "g", "1");
  send_fifo(*queue, "g", "2");
  const auto first = receive(*queue, Seconds(600), 1);
  ASSERT_EQ(first.size(), 1U);
  auto polled = std::async(std::launch::async, [&] { return queue->receive({.wait = Seconds(20)}, {}); });
  expect_removed(*queue, first.front().receipt);
  EXPECT_THAT(bodies(polled.get().value()), ElementsAre("2"));
}

TEST_P(FifoContract, ARepeatedDedupIdIsAcceptedAndDropped) {
  const auto queue = fifo();
  const MessageId id = send(*queue, {.body = "first", .group_id = "g", .dedup_id = "d"});
  EXPECT_EQ(send(*queue, {.body = "second", .group_id = "g", .dedup_id = "d"}), id);
  const Message message = receive_one(*queue);
  EXPECT_EQ(message.body, "first");
  expect_removed(*queue, message.receipt);
  send(*queue, {.body = "third", .group_id = "other", .dedup_id = "d"});
  expect_nothing(*queue);  // removed or not
}

TEST_P(FifoContract, ARepeatedDedupIdWithinABatchIsDropped) {
  const auto queue = fifo();
  const std::vector<OutgoingMessage> batch = {{.body = "first", .group_id = "g", .dedup_id = "d"},
                                              {.body = "second", .group_id = "g", .dedup_id = "d"}};
  const auto outcomes = queue->send(batch, soon());
  ASSERT_TRUE(outcomes);
  for (const auto& outcome : *outcomes) EXPECT_TRUE(outcome);
  EXPECT_THAT(bodies(receive(*queue)), ElementsAre("first"));
}

TEST_P(FifoContract, ADedupIdIsForgottenAfterFiveMinutes) {
  if (!GetParam().fake_time) GTEST_SKIP() << "takes five minutes of real time";
  const auto queue = fifo();
  const OutgoingMessage message{.body = "x", .group_id = "g", .dedup_id = "d"};
  send(*queue, message);
  expect_removed(*queue, receive_one(*queue).receipt);
  world_->advance(std::chrono::minutes(5) - Millis(1));
  send(*queue, message);
  expect_nothing(*queue);
  world_->advance(Millis(1));
  send(*queue, message);
  EXPECT_EQ(receive_one(*queue).body, "x");
}

TEST_P(FifoContract, NeedsBothIdsAndTakesNoDelay) {
  const auto queue = fifo();
  const std::vector<OutgoingMessage> batch = {{.body = "x", .group_id = "g", .dedup_id = {}},
                                              {.body = "x", .group_id = {}, .dedup_id = "d"},
                                              {.body = "x", .group_id = "g", .dedup_id = "e", .delay = Seconds(1)}};
  const auto outcomes = queue->send(batch, soon());
  ASSERT_TRUE(outcomes);
  for (const auto& outcome : *outcomes) {
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code, "bad_message");
  }
  expect_nothing(*queue);
}

TEST_P(FifoContract, ADeadLetterFreesItsGroup) {
  const auto [queue, dead] = make({.fifo = true, .receives_max = 1});
  send_fifo(*queue, "g", "poison");
  send_fifo(*queue, "g", "good");
  ASSERT_THAT(bodies(receive(*queue, Seconds(1), 1)), ElementsAre("poison"));
  world_->advance(Seconds(2));
  EXPECT_THAT(bodies(receive(*queue)), ElementsAre("good"));
  const Message letter = receive_one(*dead);
  EXPECT_EQ(letter.body, "poison");
  EXPECT_EQ(letter.group_id, "g");
}

}  // namespace imgrec::test
