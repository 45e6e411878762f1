#include "tests/contract/queue_contract.hpp"

#include <gmock/gmock.h>

#include <future>
#include <mutex>
#include <set>
#include <thread>

namespace imgrec::test {

using testing::IsEmpty;
using testing::UnorderedElementsAre;

// Other programs instantiate the suite.
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(QueueContract);

namespace {
OutgoingMessage plain(std::string body, Millis delay = Millis(0)) {
  return {.body = std::move(body), .group_id = {}, .dedup_id = {}, .delay = delay};
}
}  // namespace

std::vector<std::string> bodies(const std::vector<Message>& messages) {
  std::vector<std::string> result;
  for (const Message& message : messages) result.push_back(message.body);
  return result;
}

MessageId QueueContract::send(MessageQueue& queue, const OutgoingMessage& message) {
  const auto outcomes = queue.send({&message, 1}, soon());
  if (!outcomes || outcomes->size() != 1 || !outcomes->front()) {
    ADD_FAILURE() << "cannot send: " << describe(!outcomes ? outcomes.error() : outcomes->front().error());
    return {};
  }
  return *outcomes->front();
}

std::vector<Message> QueueContract::receive(MessageQueue& queue, Millis visibility, int messages_max) {
  auto messages = queue.receive(now(visibility, messages_max), {});
  if (!messages) ADD_FAILURE() << "cannot receive: " << describe(messages.error());
  return messages.value_or(std::vector<Message>());
}

Message QueueContract::receive_one(MessageQueue& queue, Millis visibility) {
  const auto messages = receive(queue, visibility);
  EXPECT_EQ(messages.size(), 1U);
  return messages.empty() ? Message() : messages.front();
}

void QueueContract::expect_removed(MessageQueue& queue, const Receipt& receipt) {
  const auto outcomes = queue.remove({&receipt, 1});
  ASSERT_TRUE(outcomes) << describe(outcomes.error());
  ASSERT_EQ(outcomes->size(), 1U);
  EXPECT_TRUE(outcomes->front()) << describe(outcomes->front().error());
}

void QueueContract::expect_stale(const Result<std::vector<Result<void>>>& outcomes) {
  ASSERT_TRUE(outcomes) << describe(outcomes.error());
  for (const auto& outcome : *outcomes) {
    if (!GetParam().tells_stale_receipts && outcome) continue;
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().kind, ErrorKind::not_found);
    EXPECT_EQ(outcome.error().code, "stale_receipt");
  }
}

TEST_P(QueueContract, DeliversWhatWasSent) {
  const auto queue = make().queue;
  const std::string body = "{\"name\":\"Grüße \\u0000 \xF0\x9F\x90\xAA\"}\n\t<&'";
  const WallTime before = world_->clock().wall_now();
  const MessageId id = send(*queue, body);
  EXPECT_FALSE(id.empty());
  const Message message = receive_one(*queue);
  EXPECT_EQ(message.body, body);
  EXPECT_EQ(message.id, id);
  EXPECT_FALSE(message.receipt.empty());
  EXPECT_EQ(message.receive_count, 1);
  EXPECT_EQ(message.group_id, "");
  EXPECT_LT(std::chrono::abs(message.sent_at - before), Seconds(30));
  expect_removed(*queue, message.receipt);
}

TEST_P(QueueContract, AnEmptyQueueDeliversNothing) {
  expect_nothing(*make().queue);
}

TEST_P(QueueContract, HidesWhatIsInFlightAndDeliversItAgain) {
  const auto queue = make().queue;
  const MessageId id = send(*queue, "x");
  const Message first = receive_one(*queue, Seconds(3));
  expect_nothing(*queue);
  world_->advance(Seconds(3));
  const Message second = receive_one(*queue, Seconds(3));
  EXPECT_EQ(second.id, id);
  EXPECT_EQ(second.body, "x");
  EXPECT_EQ(second.receive_count, 2);
  EXPECT_NE(second.receipt, first.receipt);
}

TEST_P(QueueContract, ARemovedMessageIsGone) {
  const auto queue = make().queue;
  send(*queue, "x");
  const Message message = receive_one(*queue, Seconds(2));
  expect_removed(*queue, message.receipt);
  world_->advance(Seconds(3));
  expect_nothing(*queue);
  expect_stale(queue->remove({&message.receipt, 1}));
}

TEST_P(QueueContract, AStaleReceiptRemovesAndExtendsNothing) {
  const auto queue = make().queue;
  send(*queue, "x");
  const Message first = receive_one(*queue, Seconds(2));
  world_->advance(Seconds(2));
  const Message second = receive_one(*queue, Seconds(2));
  expect_stale(queue->remove({&first.receipt, 1}));
  expect_stale(queue->extend({&first.receipt, 1}, Seconds(600)));
  world_->advance(Seconds(2));
  const Message third = receive_one(*queue, Seconds(2));
  EXPECT_EQ(third.receive_count, 3);
  expect_removed(*queue, third.receipt);
}

TEST_P(QueueContract, AReceiptIsGoodUntilTheNextDelivery) {
  const auto queue = make().queue;
  send(*queue, "x");
  const Message message = receive_one(*queue, Seconds(2));
  world_->advance(Seconds(3));  // visible again, and nobody took it
  expect_removed(*queue, message.receipt);
  expect_nothing(*queue);
}

TEST_P(QueueContract, ReceiptsOfABatchFailOneByOne) {
  const auto queue = make().queue;
  send(*queue, "a");
  send(*queue, "b");
  std::vector<Message> messages = receive(*queue);
  while (messages.size() < 2) {
    auto more = receive(*queue);
    ASSERT_FALSE(more.empty());
    messages.insert(messages.end(), more.begin(), more.end());
  }
  const std::vector<Receipt> receipts = {messages[0].receipt, Receipt("no such receipt"), messages[1].receipt};
  for (const auto& outcomes : {queue->extend(receipts, Seconds(60)), queue->remove(receipts)}) {
    ASSERT_TRUE(outcomes);
    ASSERT_EQ(outcomes->size(), 3U);
    EXPECT_TRUE((*outcomes)[0]);
    EXPECT_FALSE((*outcomes)[1]);
    EXPECT_TRUE((*outcomes)[2]);
  }
}

TEST_P(QueueContract, ExtendKeepsAMessageHidden) {
  const auto queue = make().queue;
  send(*queue, "x");
  const Message message = receive_one(*queue, Seconds(3));
  world_->advance(Seconds(1));
  const auto extended = queue->extend({&message.receipt, 1}, Seconds(6));
  ASSERT_TRUE(extended && extended->front());
  world_->advance(Seconds(4));
  expect_nothing(*queue);
  world_->advance(Seconds(3));
  EXPECT_EQ(receive_one(*queue).receive_count, 2);
}

TEST_P(QueueContract, ExtendByNothingReturnsAMessageAtOnce) {
  const auto queue = make().queue;
  send(*queue, "x");
  const Message message = receive_one(*queue, Seconds(600));
  const auto returned = queue->extend({&message.receipt, 1}, Millis(0));
  ASSERT_TRUE(returned && returned->front());
  EXPECT_EQ(receive_one(*queue).receive_count, GetParam().counts_returns ? 2 : 1);
}

TEST_P(QueueContract, CarriesTenAtATime) {
  const auto queue = make().queue;
  std::vector<OutgoingMessage> batch;
  std::set<std::string> sent, got, ids;
  for (int i = 0; i < 10; ++i) batch.push_back(plain("message " + std::to_string(i)));
  for (const auto& message : batch) sent.insert(message.body);
  const auto outcomes = queue->send(batch, soon());
  ASSERT_TRUE(outcomes);
  ASSERT_EQ(outcomes->size(), 10U);
  for (const auto& outcome : *outcomes) ids.insert(outcome->str());
  EXPECT_EQ(ids.size(), 10U);
  for (int tries = 0; tries < 20 && got.size() < 10; ++tries) {
    const auto messages = receive(*queue);
    std::vector<Receipt> receipts;
    for (const Message& message : messages) {
      EXPECT_TRUE(got.insert(message.body).second) << "delivered twice: " << message.body;
      receipts.push_back(message.receipt);
    }
    if (receipts.empty()) continue;
    const auto removed = queue->remove(receipts);
    ASSERT_TRUE(removed);
    for (const auto& outcome : *removed) EXPECT_TRUE(outcome);
  }
  EXPECT_EQ(got, sent);
}

TEST_P(QueueContract, DeliversNoMoreThanAsked) {
  const auto queue = make().queue;
  for (int i = 0; i < 5; ++i) send(*queue, "x");
  EXPECT_LE(receive(*queue, Seconds(30), 2).size(), 2U);
}

TEST_P(QueueContract, RefusesBatchesOfTheWrongSize) {
  const auto queue = make().queue;
  const std::vector<OutgoingMessage> messages(11, plain("x"));
  const std::vector<Receipt> receipts(11, Receipt("r"));
  EXPECT_EQ(queue->send(messages, soon()).error().kind, ErrorKind::invalid);
  EXPECT_EQ(queue->send({}, soon()).error().kind, ErrorKind::invalid);
  EXPECT_EQ(queue->remove(receipts).error().kind, ErrorKind::invalid);
  EXPECT_EQ(queue->extend(receipts, Seconds(1)).error().kind, ErrorKind::invalid);
  expect_nothing(*queue);
}

TEST_P(QueueContract, RefusesOptionsOutOfRange) {
  const auto queue = make().queue;
  for (const ReceiveOptions& options :
       {ReceiveOptions{.messages_max = 0}, ReceiveOptions{.messages_max = 11}, ReceiveOptions{.wait = Millis(20'001)},
        ReceiveOptions{.wait = Millis(-1)}, ReceiveOptions{.visibility = std::chrono::hours(13)}}) {
    const auto messages = queue->receive(options, {});
    ASSERT_FALSE(messages);
    EXPECT_EQ(messages.error().kind, ErrorKind::invalid);
  }
  send(*queue, "x");
  const Message message = receive_one(*queue);
  EXPECT_EQ(queue->extend({&message.receipt, 1}, std::chrono::hours(13)).error().kind, ErrorKind::invalid);
}

TEST_P(QueueContract, ABadMessageDoesNotHinderTheOthers) {
  const auto queue = make().queue;
  const std::vector<OutgoingMessage> batch = {plain("good"), plain("\xFF\xFE"), plain(""),
                                              plain("late", std::chrono::minutes(16)), plain("also good")};
  const auto outcomes = queue->send(batch, soon());
  ASSERT_TRUE(outcomes);
  ASSERT_EQ(outcomes->size(), 5U);
  EXPECT_TRUE((*outcomes)[0]);
  for (const std::size_t bad : {1U, 2U, 3U}) {
    ASSERT_FALSE((*outcomes)[bad]);
    EXPECT_EQ((*outcomes)[bad].error().kind, ErrorKind::invalid);
    EXPECT_EQ((*outcomes)[bad].error().code, "bad_message");
  }
  EXPECT_TRUE((*outcomes)[4]);
  std::vector<std::string> got;
  for (int tries = 0; tries < 20 && got.size() < 2; ++tries) {
    for (const Message& message : receive(*queue)) got.push_back(message.body);
  }
  EXPECT_THAT(got, UnorderedElementsAre("good", "also good"));
}

TEST_P(QueueContract, AMessageHasAtMostOneMebibyte) {
  const auto queue = make().queue;
  const auto too_large = plain(std::string(kMessageBytesMax + 1, 'x'));
  const auto outcomes = queue->send({&too_large, 1}, soon());
  ASSERT_TRUE(outcomes);
  ASSERT_FALSE(outcomes->front());
  EXPECT_EQ(outcomes->front().error().code, "message_too_large");
  send(*queue, std::string(kMessageBytesMax, 'x'));
  EXPECT_EQ(receive_one(*queue).body.size(), kMessageBytesMax);
}

TEST_P(QueueContract, ABatchHasAtMostOneMebibyte) {
  const auto queue = make().queue;
  const std::vector<OutgoingMessage> batch(3, plain(std::string(400 * kKiB, 'x')));
  const auto outcomes = queue->send(batch, soon());
  ASSERT_FALSE(outcomes);
  EXPECT_EQ(outcomes.error().kind, ErrorKind::invalid);
  expect_nothing(*queue);
}

TEST_P(QueueContract, ADelayedMessageComesLater) {
  const auto queue = make().queue;
  send(*queue, plain("later", Seconds(3)));
  expect_nothing(*queue);
  world_->advance(Seconds(4));
  const Message message = receive_one(*queue);
  EXPECT_EQ(message.body, "later");
  EXPECT_EQ(message.receive_count, 1);
}

TEST_P(QueueContract, ALongPollEndsWithTheSend) {
  const auto queue = make().queue;
  auto polled = std::async(std::launch::async, [&] { return queue->receive({.wait = Seconds(20)}, {}); });
  send(*queue, "x");
  EXPECT_EQ(bodies(polled.get().value()), std::vector<std::string>{"x"});
}

TEST_P(QueueContract, ALongPollEndsEmpty) {
  const auto queue = make().queue;
  auto polled = std::async(std::launch::async, [&] { return queue->receive({.wait = Seconds(2)}, {}); });
  world_->advance_during_poll(Seconds(2));
  EXPECT_THAT(polled.get().value(), IsEmpty());
}

TEST_P(QueueContract, ALongPollEndsWithAStop) {
  const auto queue = make().queue;
  std::stop_source stop;
  auto polled = std::async(std::launch::async, [&] { return queue->receive({.wait = Seconds(20)}, stop.get_token()); });
  stop.request_stop();
  EXPECT_THAT(polled.get().value(), IsEmpty());
  send(*queue, "x");
  EXPECT_THAT(queue->receive({.wait = Seconds(20)}, stop.get_token()).value(), IsEmpty()) << "stopped before it began";
}

TEST_P(QueueContract, ALongPollEndsWhenALeaseEnds) {
  const auto queue = make().queue;
  send(*queue, "x");
  receive_one(*queue, Seconds(3));
  auto polled = std::async(std::launch::async, [&] { return queue->receive({.wait = Seconds(20)}, {}); });
  world_->advance_during_poll(Seconds(3));
  EXPECT_EQ(bodies(polled.get().value()), std::vector<std::string>{"x"});
}

TEST_P(QueueContract, ALongPollEndsWhenADelayEnds) {
  const auto queue = make().queue;
  send(*queue, plain("x", Seconds(3)));
  auto polled = std::async(std::launch::async, [&] { return queue->receive({.wait = Seconds(20)}, {}); });
  world_->advance_during_poll(Seconds(3));
  EXPECT_EQ(bodies(polled.get().value()), std::vector<std::string>{"x"});
}

TEST_P(QueueContract, ALongPollEndsWhenAMessageIsReturned) {
  const auto queue = make().queue;
  send(*queue, "x");
  const Message message = receive_one(*queue, Seconds(600));
  auto polled = std::async(std::launch::async, [&] { return queue->receive({.wait = Seconds(20)}, {}); });
  ASSERT_TRUE(queue->extend({&message.receipt, 1}, Millis(0)).value().front());
  EXPECT_EQ(bodies(polled.get().value()), std::vector<std::string>{"x"});
}

TEST_P(QueueContract, CallsKeepTheirLimits) {
  const auto queue = make().queue;
  send(*queue, "x");
  const Message message = receive_one(*queue);
  const CallLimits over(Deadline{MonoTime::min()});
  std::stop_source stopped;
  stopped.request_stop();
  const OutgoingMessage other = plain("y", Millis(0));
  for (const auto& [limits, kind] :
       {std::pair(over, ErrorKind::transient), std::pair(CallLimits(stopped.get_token()), ErrorKind::cancelled)}) {
    EXPECT_EQ(queue->send({&other, 1}, limits).error().kind, kind);
    EXPECT_EQ(queue->extend({&message.receipt, 1}, Millis(0), limits).error().kind, kind);
    EXPECT_EQ(queue->remove({&message.receipt, 1}, limits).error().kind, kind);
    EXPECT_EQ(queue->depth(limits).error().kind, kind);
  }
  expect_nothing(*queue);
  expect_removed(*queue, message.receipt);
}

TEST_P(QueueContract, DepthTellsWhatIsThere) {
  if (!GetParam().exact_depth) GTEST_SKIP() << "this queue only approximates";
  const auto queue = make().queue;
  QueueDepth depth = queue->depth().value();
  EXPECT_EQ(depth.visible + depth.in_flight + depth.delayed, 0U);
  EXPECT_EQ(depth.oldest_age, std::nullopt);
  send(*queue, "a");
  world_->advance(Seconds(2));
  send(*queue, "b");
  send(*queue, "c");
  send(*queue, plain("d", Seconds(60)));
  const auto taken = receive(*queue, Seconds(5), 1);
  ASSERT_EQ(taken.size(), 1U);
  depth = queue->depth().value();
  EXPECT_EQ(depth.visible, 2U);
  EXPECT_EQ(depth.in_flight, 1U);
  EXPECT_EQ(depth.delayed, 1U);
  EXPECT_GE(*depth.oldest_age, Seconds(2));
  EXPECT_LT(*depth.oldest_age, Seconds(30));
  expect_removed(*queue, taken.front().receipt);
  world_->advance(Seconds(61));
  depth = queue->depth().value();
  EXPECT_EQ(depth.visible, 3U);
  EXPECT_EQ(depth.in_flight, 0U);
  EXPECT_EQ(depth.delayed, 0U);
}

TEST_P(QueueContract, AMessageReceivedTooOftenGoesToTheDeadLetterQueue) {
  const auto [queue, dead] = make({.receives_max = 2});
  const MessageId id = send(*queue, "poison");
  for (int count = 1; count <= 2; ++count) {
    EXPECT_EQ(receive_one(*queue, Seconds(1)).receive_count, count);
    world_->advance(Seconds(2));
  }
  expect_nothing(*queue);
  const Message letter = receive_one(*dead);
  EXPECT_EQ(letter.body, "poison");
  EXPECT_EQ(letter.id, id);
  expect_removed(*dead, letter.receipt);
}

TEST_P(QueueContract, DeadLettersDoNotHideTheLiving) {
  const auto [queue, dead] = make({.receives_max = 1});
  for (int i = 0; i < 3; ++i) send(*queue, "poison");
  for (std::size_t got = 0, tries = 0; got < 3 && tries < 20; ++tries) got += receive(*queue, Seconds(1)).size();
  world_->advance(Seconds(2));
  send(*queue, "good");
  EXPECT_EQ(receive_one(*queue).body, "good");
  std::size_t letters = 0;
  for (int tries = 0; tries < 20 && letters < 3; ++tries) letters += receive(*dead).size();
  EXPECT_EQ(letters, 3U);
}

TEST_P(QueueContract, ManyThreadsShareAQueue) {
  const auto queue = make().queue;
  constexpr int kThreads = 3, kEach = 60;
  std::mutex mutex;
  std::multiset<std::string> got;
  std::stop_source stop;
  std::vector<std::jthread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      while (!stop.stop_requested()) {
        const auto messages = queue->receive({.wait = Seconds(20)}, stop.get_token());
        std::vector<Receipt> receipts;
        for (const Message& message : messages.value()) receipts.push_back(message.receipt);
        const bool removed = receipts.empty() || queue->remove(receipts);
        EXPECT_TRUE(removed);
        std::lock_guard lock(mutex);
        for (const Message& message : messages.value()) got.insert(message.body);
        if (got.size() >= kThreads * kEach) stop.request_stop();
      }
    });
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) send(*queue, std::to_string(t) + "-" + std::to_string(i));
    });
  }
  threads.clear();
  EXPECT_EQ(got.size(), static_cast<std::size_t>(kThreads * kEach));
  EXPECT_EQ(std::set<std::string>(got.begin(), got.end()).size(), got.size()) << "something was delivered twice";
}

TEST_P(QueueContract, OnlyFifoQueuesTakeGroups) {
  const auto queue = make().queue;
  const OutgoingMessage message{.body = "x", .group_id = "g", .dedup_id = "d"};
  EXPECT_EQ(queue->send({&message, 1}, soon()).value().front().error().code, "bad_message");
}

}  // namespace imgrec::test
