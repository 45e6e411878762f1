// The queue contract, whole, over the wire: the adapter, an HTTP imposter that speaks SQS, and behind it a queue in
// memory on fake time. What moto does otherwise than AWS is tested here, as AWS's API reference says it.
#include <gmock/gmock.h>

#include <set>

#include "aws/adapters/sqs_queue.hpp"
#include "lib/base/digest.hpp"
#include "lib/http/client/curl_client.hpp"
#include "tests/aws/imposter.hpp"
#include "tests/contract/queue_contract.hpp"
#include "tests/support/fake_clock.hpp"
#include "tests/support/memory_queue.hpp"

namespace imgrec::test::sqs_contract_test {
namespace {

using aws::test::Imposter;
using aws::test::Reply;
using aws::test::Seen;
using nlohmann::json;

class SqsService {
 public:
  explicit SqsService(Clock& clock) : clock_(clock) {
    imposter_.always([this](const Seen& request) { return serve(request); });
  }
  ~SqsService() { stop_.request_stop(); }  // ends polls whose client is gone

  std::shared_ptr<MemoryQueue> create(const std::string& name, const MemoryQueueOptions& options) {
    std::lock_guard lock(mutex_);
    return queues_[name] = std::make_shared<MemoryQueue>(clock_, options);
  }
  std::string url() const { return imposter_.url(); }

 private:
  Reply serve(const Seen& request) {
    const json asked = request.json();
    const std::string operation = request.operation();
    if (operation == "GetQueueUrl") return reply({{"QueueUrl", asked["QueueName"]}});
    const std::string name = asked["QueueUrl"];
    const auto queue = queue_of(name);
    const bool fifo = name.ends_with(".fifo");
    if (operation == "SendMessageBatch") return send(*queue, asked["Entries"]);
    if (operation == "ReceiveMessage") return receive(*queue, asked);
    if (operation == "DeleteMessageBatch") return remove(*queue, fifo, asked["Entries"]);
    if (operation == "ChangeMessageVisibilityBatch") return extend(*queue, fifo, asked["Entries"]);
    ADD_FAILURE() << operation << " is not played";
    return {.status = 400};
  }

  Reply send(MessageQueue& queue, const json& entries) {
    std::vector<OutgoingMessage> messages;
    for (const json& entry : entries) {
      messages.push_back({.body = entry["MessageBody"],
                          .group_id = entry.value("MessageGroupId", ""),
                          .dedup_id = entry.value("MessageDeduplicationId", ""),
                          .delay = Seconds(entry.value("DelaySeconds", 0))});
    }
    const auto outcomes = queue.send(messages, Deadline::in(clock_, Seconds(30)));
    json done = json::array(), failed = json::array();
    for (std::size_t i = 0; i < messages.size(); ++i) {
      const auto& outcome = outcomes.value()[i];
      if (outcome) {
        done.push_back(
            {{"Id", entries[i]["Id"]}, {"MessageId", outcome->str()}, {"MD5OfMessageBody", md5_hex(messages[i].body)}});
      } else {
        failed.push_back(failure(entries[i], "InvalidParameterValue", outcome.error().message));
      }
    }
    return reply({{"Successful", done}, {"Failed", failed}});
  }

  Reply receive(MessageQueue& queue, const json& asked) {
    const auto got = queue.receive({.messages_max = asked["MaxNumberOfMessages"],
                                    .wait = Seconds(asked["WaitTimeSeconds"].get<int>()),
                                    .visibility = Seconds(asked["VisibilityTimeout"].get<int>())},
                                   stop_.get_token());
    json messages = json::array();
    for (const Message& message : got.value()) {
      json attributes = {{"ApproximateReceiveCount", std::to_string(message.receive_count)},
                         {"SentTimestamp", std::to_string(message.sent_at.time_since_epoch().count())}};
      if (!message.group_id.empty()) attributes["MessageGroupId"] = message.group_id;
      messages.push_back({{"MessageId", message.id.str()},
                          {"ReceiptHandle", message.receipt.str()},
                          {"Body", message.body},
                          {"MD5OfBody", md5_hex(message.body)},
                          {"Attributes", attributes}});
      std::lock_guard lock(mutex_);
      receipts_.insert(message.receipt.str());
    }
    return messages.empty() ? reply(json::object()) : reply({{"Messages", messages}});
  }

  // DeleteMessage: "you must provide the most recently received ReceiptHandle for the message (otherwise, the request
  // succeeds, but the message will not be deleted)"; of a FIFO queue: "The receipt handle has expired".
  Reply remove(MessageQueue& queue, bool fifo, const json& entries) {
    return one_by_one(entries, [&](const Receipt& receipt, const json& entry) -> std::optional<json> {
      if (queue.remove({&receipt, 1}).value().front() || (!fifo && was_given(receipt))) return std::nullopt;
      return stale(receipt, entry, "InvalidParameterValue", "Reason: The receipt handle has expired.");
    });
  }

  // ChangeMessageVisibility, MessageNotInflight: "The specified message isn't in flight."
  Reply extend(MessageQueue& queue, bool fifo, const json& entries) {
    return one_by_one(entries, [&](const Receipt& receipt, const json& entry) -> std::optional<json> {
      if (queue.extend({&receipt, 1}, Seconds(entry["VisibilityTimeout"].get<int>())).value().front()) {
        return std::nullopt;
      }
      if (fifo) return stale(receipt, entry, "InvalidParameterValue", "Reason: The receipt handle has expired.");
      return stale(receipt, entry, "MessageNotInflight", "The specified message isn't in flight.");
    });
  }

  template <class Carry>
  static Reply one_by_one(const json& entries, const Carry& carry_out) {
    json done = json::array(), failed = json::array();
    for (const json& entry : entries) {
      if (auto refused = carry_out(Receipt(entry["ReceiptHandle"].get<std::string>()), entry)) {
        failed.push_back(*std::move(refused));
      } else {
        done.push_back({{"Id", entry["Id"]}});
      }
    }
    return reply({{"Successful", done}, {"Failed", failed}});
  }

  json stale(const Receipt& receipt, const json& entry, const char* code, const char* message) {
    if (was_given(receipt)) return failure(entry, code, message);
    return failure(entry, "ReceiptHandleIsInvalid", "The input receipt handle is invalid.");
  }
  bool was_given(const Receipt& receipt) {
    std::lock_guard lock(mutex_);
    return receipts_.contains(receipt.str());
  }
  std::shared_ptr<MemoryQueue> queue_of(const std::string& name) {
    std::lock_guard lock(mutex_);
    return queues_.at(name);
  }
  static json failure(const json& entry, const std::string& code, const std::string& message) {
    return {{"Id", entry["Id"]}, {"Code", code}, {"Message", message}, {"SenderFault", true}};
  }
  static Reply reply(const json& body) {
    return {.body = body.dump(), .headers = {{"Content-Type", "application/x-amz-json-1.0"}}};
  }

  Clock& clock_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<MemoryQueue>> queues_;
  std::set<std::string> receipts_;  // all that were ever given
  std::stop_source stop_;
  Imposter imposter_;  // ends first: its threads use what is above
};

class SqsWireWorld final : public QueueWorld {
 public:
  QueuePair make(const QueueSetup& setup) override {
    const std::string end = setup.fifo ? ".fifo" : "";
    MemoryQueueOptions options{.fifo = setup.fifo, .receives_max = setup.receives_max, .dead_letter = {}};
    const auto dead = service_.create("dead" + end, {.fifo = setup.fifo, .receives_max = 0, .dead_letter = {}});
    if (setup.receives_max > 0) options.dead_letter = dead;
    service_.create("jobs" + end, options);
    const aws::SqsQueueOptions wanted{.fifo = setup.fifo, .dead_letter = {}, .setup = aws::QueueSetup::use};
    directory_ =
        aws::open_sqs_queues(session_, {.options_of = [wanted](const std::string&) { return std::optional(wanted); }});
    QueuePair pair{directory_->open("jobs").value(), nullptr};
    if (setup.receives_max > 0) pair.dead_letter = directory_->open("dead").value();
    return pair;
  }
  Clock& clock() override { return clock_; }
  void advance(Millis duration) override { clock_.advance(duration); }
  void advance_during_poll(Millis duration) override {
    clock_.wait_for_sleepers(1);
    clock_.advance(duration);
  }

 private:
  aws::SessionParts parts() const {
    aws::SessionParts out;
    out.endpoints.overrides[""] = service_.url();
    out.http = make_curl_client({.user_agent = "imgrec-test"});
    out.credentials = std::make_unique<aws::FixedCredentials>(aws::test::test_keys());
    return out;
  }

  FakeClock clock_;
  SeededRng rng_;
  SqsService service_{clock_};
  aws::Session session_{parts(), clock_, rng_};
  std::unique_ptr<QueueDirectory> directory_;
};

const auto kQueues = testing::Values(QueueHarness{.name = "sqs",
                                                  .make_world = [] { return std::make_unique<SqsWireWorld>(); },
                                                  .tells_stale_receipts = false,
                                                  .exact_depth = false});
INSTANTIATE_TEST_SUITE_P(SqsWire, QueueContract, kQueues, testing::PrintToStringParamName());
INSTANTIATE_TEST_SUITE_P(SqsWire, FifoContract, kQueues, testing::PrintToStringParamName());

// The port's words for it: the receipt's message is delivered again, and nothing was done to it.
TEST(SqsReceipts, ThatAreTooOldAreToldWhereSqsTellsThem) {
  SqsWireWorld world;
  const auto queue = world.make({.fifo = true, .receives_max = 0}).queue;
  const OutgoingMessage message{.body = "x", .group_id = "g", .dedup_id = "d"};
  ASSERT_TRUE(queue->send({&message, 1}, Deadline::in(world.clock(), Seconds(30))).value().front());
  const auto first = queue->receive({.visibility = Seconds(2)}, {}).value();
  ASSERT_EQ(first.size(), 1U);
  world.advance(Seconds(2));
  const auto second = queue->receive({.visibility = Seconds(2)}, {}).value();
  ASSERT_EQ(second.size(), 1U);
  for (const auto& outcome : {queue->remove({&first[0].receipt, 1}).value()[0],
                              queue->extend({&first[0].receipt, 1}, Seconds(60)).value()[0]}) {
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().kind, ErrorKind::not_found);
    EXPECT_EQ(outcome.error().code, "stale_receipt");
    EXPECT_THAT(outcome.error().message, testing::HasSubstr("has expired"));
  }
  EXPECT_TRUE(queue->remove({&second[0].receipt, 1}).value()[0]);
}

}  // namespace
}  // namespace imgrec::test::sqs_contract_test
