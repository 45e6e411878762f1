#include "aws/adapters/sqs_queue.hpp"

#include <gmock/gmock.h>

#include <future>

#include "lib/base/digest.hpp"
#include "tests/aws/imposter.hpp"

namespace imgrec::aws::sqs_queue_test {
namespace {

using nlohmann::json;
using test::Fault;
using test::Reply;
using test::Seen;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kQueueUrl = "https://sqs.us-east-1.amazonaws.com/123456789012/jobs";

Reply reply(const json& body, int status = 200) {
  return {.status = status, .body = body.dump(), .headers = {{"Content-Type", "application/x-amz-json-1.0"}}};
}

Reply error(const std::string& code, int status = 400, const std::string& message = "No.") {
  return reply({{"__type", "com.amazonaws.sqs#" + code}, {"message", message}}, status);
}

// As SQS answers a SendMessageBatch in which everything is well.
Reply all_sent(const Seen& request) {
  json done = json::array();
  const json asked = request.json();
  for (const json& entry : asked["Entries"]) {
    done.push_back({{"Id", entry["Id"]},
                    {"MessageId", "id-of-" + entry["MessageBody"].get<std::string>()},
                    {"MD5OfMessageBody", md5_hex(entry["MessageBody"].get<std::string>())}});
  }
  return reply({{"Successful", done}, {"Failed", json::array()}});
}

json sent_as(const std::string& id, const std::string& message, const std::string& body) {
  return {{"Id", id}, {"MessageId", message}, {"MD5OfMessageBody", md5_hex(body)}};
}

json failed(const std::string& id, const std::string& code, bool sender_fault) {
  return {{"Id", id}, {"Code", code}, {"Message", "No."}, {"SenderFault", sender_fault}};
}

OutgoingMessage plain(std::string body) {
  return {.body = std::move(body), .group_id = {}, .dedup_id = {}};
}

class SqsQueueTest : public testing::Test {
 protected:
  std::shared_ptr<MessageQueue> open(SqsQueueOptions options = {.dead_letter = {}, .setup = QueueSetup::use}) {
    imposter.then(reply({{"QueueUrl", kQueueUrl}}));
    directory = open_sqs_queues(world.session, {.options_of = [options](const std::string&) { return options; }});
    return directory->open("jobs").value();
  }
  Result<std::vector<Result<MessageId>>> send(MessageQueue& queue, const std::vector<std::string>& bodies) {
    std::vector<OutgoingMessage> messages;
    for (const std::string& body : bodies) messages.push_back(plain(body));
    return queue.send(messages, Deadline::in(world.clock, Seconds(60)));
  }

  test::ImposterWorld world;
  test::Imposter& imposter = world.imposter;
  std::unique_ptr<QueueDirectory> directory;
};

TEST_F(SqsQueueTest, SpeaksAwsJson) {
  const auto queue = open();
  imposter.then(all_sent);
  const auto sent = send(*queue, {"a", "b"});
  ASSERT_TRUE(sent) << describe(sent.error());
  EXPECT_EQ((*sent)[1]->str(), "id-of-b");
  const Seen seen = imposter.last();
  EXPECT_EQ(seen.method + seen.target, "POST/");
  EXPECT_EQ(seen.headers.at("x-amz-target"), "AmazonSQS.SendMessageBatch");
  EXPECT_EQ(seen.headers.at("content-type"), "application/x-amz-json-1.0");
  EXPECT_EQ(seen.headers.at("x-amzn-query-mode"), "true");
  EXPECT_THAT(seen.headers.at("authorization"), HasSubstr("/us-east-1/sqs/aws4_request"));
  EXPECT_EQ(seen.json(), json::parse(R"({"QueueUrl": "https://sqs.us-east-1.amazonaws.com/123456789012/jobs",
    "Entries": [{"Id": "0", "MessageBody": "a"}, {"Id": "1", "MessageBody": "b"}]})"));
}

TEST_F(SqsQueueTest, AQueueIsMadeWithItsKeyAndItsTags) {
  const auto made_with = [&](const SqsQueueOptions& options) {
    imposter.then(error("QueueDoesNotExist"));
    imposter.then(reply({{"QueueUrl", kQueueUrl}}));
    directory = open_sqs_queues(world.session, {.options_of = [options](const std::string&) { return options; }});
    EXPECT_TRUE(directory->open("jobs"));
    return imposter.last().json();
  };
  const json own = made_with({.dead_letter = {}, .setup = QueueSetup::create});
  EXPECT_EQ(own["Attributes"]["SqsManagedSseEnabled"], "true");
  EXPECT_FALSE(own["Attributes"].contains("KmsMasterKeyId"));
  EXPECT_FALSE(own.contains("tags"));
  const json keyed = made_with({.dead_letter = {},
                                .setup = QueueSetup::create,
                                .kms_key = "alias/queues",
                                .tags = {{"team", "vision"}, {"stage", "test"}}});
  EXPECT_EQ(keyed["Attributes"]["KmsMasterKeyId"], "alias/queues");
  EXPECT_FALSE(keyed["Attributes"].contains("SqsManagedSseEnabled"));
  EXPECT_EQ(keyed["tags"], (json{{"team", "vision"}, {"stage", "test"}}));
}

TEST_F(SqsQueueTest, AQueueWithAnotherKeyDiffers) {
  const std::string arn = "arn:aws:kms:us-east-1:123456789012:";
  const auto open_with = [&](const std::string& found, const std::string& wanted) {
    const SqsQueueOptions options{.dead_letter = {}, .setup = QueueSetup::check, .kms_key = wanted};
    imposter.then(reply({{"QueueUrl", kQueueUrl}}));
    json attributes = json::object();
    if (!found.empty()) attributes["KmsMasterKeyId"] = found;
    imposter.then(reply({{"Attributes", attributes}}));
    directory = open_sqs_queues(world.session, {.options_of = [options](const std::string&) { return options; }});
    const auto opened = directory->open("jobs");
    return opened ? std::string("ok") : opened.error().message;
  };
  EXPECT_EQ(open_with("1234-abcd", "1234-abcd"), "ok");
  EXPECT_EQ(open_with(arn + "key/1234-abcd", "1234-abcd"), "ok");
  EXPECT_EQ(open_with("alias/x", arn + "alias/x"), "ok");
  EXPECT_EQ(open_with("1234-abcd", ""), "ok") << "any";
  EXPECT_THAT(open_with("", "1234-abcd"), HasSubstr("no key of KMS"));
  EXPECT_THAT(open_with("5678-efef", "1234-abcd"), HasSubstr("the key 5678-efef, but is configured to have 1234-abcd"));
}

TEST_F(SqsQueueTest, WhatFailsThroughSqsIsTriedAgainSingly) {
  const auto queue = open();
  imposter.then(
      reply({{"Successful", json::array({sent_as("0", "m0", "a")})},
             {"Failed", {failed("1", "InternalError", false), failed("2", "InvalidMessageContents", true)}}}));
  imposter.then(all_sent);
  const auto sent = send(*queue, {"a", "b", "c"});
  ASSERT_TRUE(sent);
  EXPECT_EQ((*sent)[0]->str(), "m0");
  EXPECT_EQ((*sent)[1]->str(), "id-of-b");
  EXPECT_EQ((*sent)[2].error().code, "bad_message");
  ASSERT_EQ(imposter.last().json()["Entries"].size(), 1U) << "the others are not sent twice";
  EXPECT_EQ(imposter.last().json()["Entries"][0]["MessageBody"], "b");
}

TEST_F(SqsQueueTest, WhatFailsTwiceIsThatMessagesError) {
  const auto queue = open();
  for (int i = 0; i < 2; ++i) {
    imposter.then(reply({{"Failed", json::array({failed("0", "InternalError", false)})}}));
  }
  const auto sent = send(*queue, {"a"});
  ASSERT_TRUE(sent);
  EXPECT_EQ(sent->front().error().kind, ErrorKind::transient);
  EXPECT_THAT(sent->front().error().message, HasSubstr("SQS SendMessageBatch failed: InternalError"));
}

TEST_F(SqsQueueTest, AnAnswerThatOmitsAMessageIsNoSuccess) {
  const auto queue = open();
  imposter.then(reply(json::object()));
  imposter.then(reply(json::object()));
  const auto sent = send(*queue, {"a"});
  ASSERT_TRUE(sent);
  EXPECT_EQ(sent->front().error().code, "bad_response");
}

TEST_F(SqsQueueTest, WhatSqsReceivedDamagedIsSentAgain) {
  const auto queue = open();
  imposter.then(reply({{"Successful", json::array({sent_as("0", "m0", "b")})}}));
  imposter.then(all_sent);
  EXPECT_EQ(send(*queue, {"a"})->front()->str(), "id-of-a");
}

TEST_F(SqsQueueTest, ALostAnswerIsAskedForAgain) {
  const auto queue = open();
  imposter.then(Reply{.fault = Fault::cut});
  imposter.then(Reply{.body = "{\"Successful\": [", .fault = Fault::truncate, .bytes_sent = 5});
  imposter.then(all_sent);
  EXPECT_TRUE(send(*queue, {"a"})->front());
  const auto seen = imposter.seen();
  ASSERT_EQ(seen.size(), 4U);
  EXPECT_EQ(seen[1].body, seen[3].body);
  EXPECT_EQ(seen[1].headers.at("amz-sdk-invocation-id"), seen[3].headers.at("amz-sdk-invocation-id"));
}

TEST_F(SqsQueueTest, AnAnswerThatIsNoJsonIsAskedForAgain) {
  const auto queue = open();
  imposter.then(Reply{.body = "<html>a proxy's login page</html>"});
  imposter.then(all_sent);
  EXPECT_TRUE(send(*queue, {"a"})->front());
  for (int i = 0; i < 3; ++i) imposter.then(Reply{.body = "{\"Succ"});
  const auto sent = send(*queue, {"a"});
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().code, "bad_response");
}

TEST_F(SqsQueueTest, ThrottlingIsWaitedOut) {
  const auto queue = open();
  imposter.then(error("RequestThrottled", 403));
  imposter.then(all_sent);
  EXPECT_TRUE(send(*queue, {"a"})->front());
  ASSERT_EQ(world.clock.sleeps().size(), 1U);
}

TEST_F(SqsQueueTest, ErrorsSayWhatIsWrongAndNoSecret) {
  const auto queue = open();
  imposter.then(error("AccessDenied", 403, "User is not authorized to perform sqs:SendMessage"));
  const auto sent = send(*queue, {"a body that nobody else should read"});
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().kind, ErrorKind::denied);
  EXPECT_THAT(sent.error().message, HasSubstr("SQS SendMessageBatch failed: AccessDenied: User is not authorized"));
  EXPECT_THAT(sent.error().message, Not(HasSubstr("nobody else")));
  EXPECT_THAT(sent.error().message, Not(HasSubstr(test::test_keys().secret_access_key.reveal())));
  imposter.then(error("QueueDoesNotExist"));
  EXPECT_EQ(send(*queue, {"a"}).error().code, "no_such_queue");
}

TEST_F(SqsQueueTest, WhatCannotBeSentMakesNoCall) {
  const auto queue = open();
  EXPECT_EQ(send(*queue, {std::string(kMessageBytesMax + 1, 'x')})->front().error().code, "message_too_large");
  EXPECT_EQ(send(*queue, {std::string(kMessageBytesMax, 'x'), "x"}).error().code, "batch_too_large");
  EXPECT_EQ(send(*queue, {std::string("nul\0", 4)})->front().error().code, "bad_message");
  EXPECT_EQ(imposter.seen().size(), 1U);
}

TEST_F(SqsQueueTest, ReceivesWithALongPoll) {
  const auto queue = open();
  imposter.then(
      reply({{"Messages",
              {{{"MessageId", "m1"},
                {"ReceiptHandle", "r1"},
                {"Body", "grüße"},
                {"MD5OfBody", md5_hex("grüße")},
                {"Attributes",
                 {{"ApproximateReceiveCount", "3"}, {"SentTimestamp", "1767225600123"}, {"MessageGroupId", "g"}}}},
               {{"MessageId", "m2"}, {"ReceiptHandle", "r2"}, {"Body", "damaged"}, {"MD5OfBody", md5_hex("x")}}}}}));
  const auto got = queue->receive({.messages_max = 7, .wait = Seconds(20), .visibility = Millis(2'500)}, {});
  ASSERT_TRUE(got) << describe(got.error());
  ASSERT_EQ(got->size(), 1U) << "what arrived damaged is left for its next delivery";
  const Message& message = got->front();
  EXPECT_EQ(message.body, "grüße");
  EXPECT_EQ(message.receive_count, 3);
  EXPECT_EQ(message.group_id, "g");
  EXPECT_EQ(to_rfc3339(message.sent_at), "2026-01-01T00:00:00.123Z");
  const json asked = imposter.last().json();
  EXPECT_EQ(asked["MaxNumberOfMessages"], 7);
  EXPECT_EQ(asked["WaitTimeSeconds"], 20);
  EXPECT_EQ(asked["VisibilityTimeout"], 3) << "never shorter than asked";
  imposter.then(reply(json::object()));
  EXPECT_TRUE(queue->receive({}, {})->empty());
}

TEST_F(SqsQueueTest, WhatAQueueDoesNotTellIsUnknown) {
  const auto queue = open();
  const json plain = {{"ReceiptHandle", "r"}, {"Body", "x"}, {"MD5OfBody", md5_hex("x")}};
  json empty = plain;
  empty["Attributes"] = json::object();
  imposter.then(reply({{"Messages", {plain, empty}}}));
  const auto got = queue->receive({.messages_max = 2}, {});
  ASSERT_TRUE(got) << describe(got.error());
  ASSERT_EQ(got->size(), 2U);
  for (const Message& message : *got) {
    EXPECT_EQ(message.receive_count, 0);
    EXPECT_FALSE(message.is_first_delivery());
    EXPECT_GT(to_rfc3339(message.sent_at), "2020") << "the time of receipt, not 1970";
  }
}

TEST_F(SqsQueueTest, AStopEndsALongPollAtOnce) {
  const auto queue = open();
  std::promise<void> asked;
  imposter.then([&](const Seen&) {
    asked.set_value();
    return Reply{.body = "{}", .fault = Fault::stall};
  });
  std::stop_source stop;
  auto polled = std::async(std::launch::async, [&] { return queue->receive({.wait = Seconds(20)}, stop.get_token()); });
  asked.get_future().wait();
  stop.request_stop();
  EXPECT_TRUE(polled.get()->empty());
}

TEST_F(SqsQueueTest, TellsStaleReceiptsFromOtherErrors) {
  const auto queue = open();
  const std::vector<Receipt> receipts = {Receipt("r0"), Receipt("r1"), Receipt("r2"), Receipt("r3")};
  imposter.then(reply({{"Successful", json::array({json({{"Id", "0"}})})},
                       {"Failed",
                        {failed("1", "ReceiptHandleIsInvalid", true), failed("2", "InvalidParameterValue", true),
                         failed("3", "AccessDenied", true)}}}));
  const auto removed = queue->remove(receipts);
  ASSERT_TRUE(removed);
  EXPECT_TRUE((*removed)[0]);
  EXPECT_EQ((*removed)[1].error().code, "stale_receipt");
  EXPECT_EQ((*removed)[2].error().code, "stale_receipt");
  EXPECT_EQ((*removed)[3].error().kind, ErrorKind::denied);
  EXPECT_EQ(imposter.last().operation(), "DeleteMessageBatch");
  imposter.then(reply({{"Failed", json::array({failed("0", "MessageNotInflight", true)})}}));
  EXPECT_EQ(queue->extend({receipts.data(), 1}, Millis(1'001))->front().error().code, "stale_receipt");
  EXPECT_EQ(imposter.last().json()["Entries"][0]["VisibilityTimeout"], 2);
}

TEST_F(SqsQueueTest, ADepthThatCannotBeReadIsNotZero) {
  const auto queue = open();
  imposter.then(reply({{"Attributes", {{"ApproximateNumberOfMessages", "12"}}}}));
  EXPECT_EQ(queue->depth().error().code, "bad_response");
}

TEST_F(SqsQueueTest, CreatesAQueueWithItsDeadLetters) {
  imposter.then(error("QueueDoesNotExist"));
  imposter.then(error("QueueDoesNotExist"));
  imposter.then(reply({{"QueueUrl", "https://sqs/dead.fifo"}}));
  imposter.then(reply({{"Attributes", {{"QueueArn", "arn:aws:sqs:us-east-1:123456789012:dead.fifo"}}}}));
  imposter.then(reply({{"QueueUrl", "https://sqs/jobs.fifo"}}));
  directory = open_sqs_queues(
      world.session, {.options_of = [](const std::string& name) {
        SqsQueueOptions options{.fifo = true, .dead_letter = {}, .setup = QueueSetup::create};
        if (name == "jobs")
          options = {.fifo = true, .receives_max = 8, .dead_letter = "dead", .setup = QueueSetup::create};
        return std::optional(options);
      }});
  const auto queue = directory->open("jobs");
  ASSERT_TRUE(queue) << describe(queue.error());
  EXPECT_EQ(directory->open("jobs").value(), *queue) << "opened once";
  const auto seen = imposter.seen();
  ASSERT_EQ(seen.size(), 5U);
  EXPECT_EQ(seen[0].json(), json({{"QueueName", "jobs.fifo"}}));
  EXPECT_EQ(seen[2].json()["QueueName"], "dead.fifo");
  EXPECT_FALSE(seen[2].json()["Attributes"].contains("RedrivePolicy"));
  const json made = seen[4].json();
  EXPECT_EQ(made["QueueName"], "jobs.fifo");
  EXPECT_EQ(made["Attributes"]["FifoQueue"], "true");
  EXPECT_EQ(made["Attributes"]["VisibilityTimeout"], "30");
  EXPECT_EQ(json::parse(made["Attributes"]["RedrivePolicy"].get<std::string>()),
            json({{"deadLetterTargetArn", "arn:aws:sqs:us-east-1:123456789012:dead.fifo"}, {"maxReceiveCount", "8"}}));
  EXPECT_THAT(world.clock.sleeps(), ElementsAre(Millis(1'000), Millis(1'000)));
}

TEST_F(SqsQueueTest, SaysHowAQueueDiffers) {
  imposter.then(reply({{"QueueUrl", kQueueUrl}}));
  imposter.then(
      reply({{"Attributes",
              {{"RedrivePolicy",
                R"({"deadLetterTargetArn":"arn:aws:sqs:us-east-1:123456789012:dead","maxReceiveCount":3})"}}}}));
  directory = open_sqs_queues(
      world.session, {.options_of = [](const std::string&) {
        return std::optional(SqsQueueOptions{.receives_max = 8, .dead_letter = "dead", .setup = QueueSetup::check});
      }});
  const auto queue = directory->open("jobs");
  ASSERT_FALSE(queue);
  EXPECT_EQ(queue.error().code, "queue_differs");
  EXPECT_THAT(queue.error().message, HasSubstr("dead after 3 deliveries, but is configured to have dead-letter queue "
                                               "dead after 8 deliveries"));
}

TEST_F(SqsQueueTest, RefusesNamesThatSqsHasNot) {
  directory =
      open_sqs_queues(world.session, {.options_of = [](const std::string& name) {
                        return name == "unknown" ? std::nullopt : std::optional(SqsQueueOptions{.dead_letter = {}});
                      }});
  for (const char* name : {"", "a b", "a.b", "../x", "https://evil.example/x"}) {
    EXPECT_EQ(directory->open(name).error().code, "bad_queue_name") << name;
  }
  EXPECT_EQ(directory->open(std::string(81, 'x')).error().code, "bad_queue_name");
  EXPECT_EQ(directory->open("unknown").error().code, "no_such_queue");
  EXPECT_TRUE(imposter.seen().empty());
}

TEST_F(SqsQueueTest, ManyCallsShareConnections) {
  const auto queue = open();
  imposter.always(all_sent);
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(send(*queue, {"a"})->front());
  EXPECT_EQ(imposter.connections(), 1U);
}

}  // namespace
}  // namespace imgrec::aws::sqs_queue_test
