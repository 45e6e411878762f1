// Dead letters: seen, explained, sent again and dropped, over queues in memory and in SQLite.
#include "roles/web/jobs/dead_letters.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "lib/base/digest.hpp"
#include "lib/local/sqlite_queue.hpp"
#include "tests/roles/web/web_node.hpp"
#include "tests/support/temp_dir.hpp"

namespace imgrec::dead_letters_test {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using test::Backend;
using test::HttpReply;
using test::jpeg_of;
using test::StoreCall;
using test::WebNode;
using testing::IsEmpty;
using testing::SizeIs;

JobResult failed(const JobRequest& request, const std::string& code) {
  JobResult result;
  result.job = request.job;
  result.session = request.session;
  result.name = request.name;
  result.error = JobError{.code = code, .title = "t", .detail = "why", .retryable = false};
  result.completed_at = system_clock().wall_now();
  return result;
}

enum class Kind { memory, sqlite };

class DeadLettersTest : public testing::TestWithParam<Kind> {
 protected:
  DeadLettersTest() {
    if (GetParam() == Kind::memory) {
      queues = std::make_unique<test::MemoryQueues>(system_clock());
    } else {
      queues = open_sqlite_queues(dir.path() / "queue.sqlite",
                                  {.options_of = [](const std::string&) { return SqliteQueueOptions{}; }},
                                  system_clock(), system_rng())
                   .value();
    }
    dead = queues->open("dead").value();
    requests = queues->open("requests").value();
  }
  DeadLetters letters() {
    return DeadLetters({.dead_letters = *dead,
                        .requests = *requests,
                        .inputs = inputs,
                        .outputs = outputs,
                        .clock = system_clock(),
                        .rng = system_rng()},
                       {.input_bucket = "inputs", .reply_to = "responses-here", .job_ttl = 60s});
  }
  void send(std::string body) {
    OutgoingMessage message;
    message.body = std::move(body);
    ASSERT_TRUE(dead->send({&message, 1}).value().at(0));
  }
  /// A request whose image is stored; its letter is in the queue.
  JobRequest send_request(const std::string& content) {
    JobRequest request;
    request.job = make_job_id(system_clock().wall_now(), system_rng());
    request.session = SessionId("s");
    request.name = content;
    request.input = {
        .bucket = "inputs", .key = input_key(request.job), .bytes = content.size(), .sha256 = sha256_hex(content)};
    request.reply_to = "responses-gone";
    request.submitted_at = request.expires_at = system_clock().wall_now();
    EXPECT_TRUE(inputs.put(request.input.key, content, {}));
    send(to_json(request));
    return request;
  }
  std::vector<DeadLetter> listed() {
    auto listing = letters().list(100).value();
    EXPECT_TRUE(listing.complete);
    return listing.letters;
  }

  test::TempDir dir;
  std::unique_ptr<QueueDirectory> queues;
  std::shared_ptr<MessageQueue> dead, requests;
  test::MemoryStore inputs{system_clock()}, outputs{system_clock()};
};

TEST_P(DeadLettersTest, AreExplainedAndStayWhereTheyAre) {
  EXPECT_THAT(listed(), IsEmpty());
  const JobRequest poison = send_request("a"), lost = send_request("b"), done = send_request("c");
  send("no request");
  ASSERT_TRUE(outputs.put(result_key(poison.job), to_json(failed(poison, "poison")), {}));
  JobResult labels = failed(done, "");
  labels.error.reset();
  labels.labels = {{.index = 0, .wnid = "", .label = "cat", .score = 1}};
  ASSERT_TRUE(outputs.put(result_key(done.job), to_json(labels), {}));
  for (int look = 0; look < 2; ++look) {  // it changes nothing
    std::map<std::string, std::string> why;
    for (const DeadLetter& letter : listed()) why[letter.name] = letter.error.code;
    EXPECT_EQ(why, (std::map<std::string, std::string>{
                       {"a", "poison"}, {"b", "not_processed"}, {"c", "job_done"}, {"", "bad_request_message"}}));
  }
  for (int i = 0; i < 30; ++i) send_request("more");
  const auto some = letters().list(12).value();
  EXPECT_THAT(some.letters, SizeIs(12));
  EXPECT_FALSE(some.complete);
  EXPECT_THAT(listed(), SizeIs(34));
}

TEST_P(DeadLettersTest, SentAgainIsAsNew) {
  const JobRequest request = send_request("a");
  send_request("b");
  ASSERT_TRUE(outputs.put(result_key(request.job), to_json(failed(request, "poison")), {}));
  for (int i = 1; i <= 3; ++i) ASSERT_TRUE(outputs.put(attempt_key(request.job, i), "1", {}));
  MessageId id;
  for (const DeadLetter& letter : listed()) {
    if (letter.job == request.job) id = letter.id;
  }
  const auto done = letters().redrive({&id, 1}).value();
  ASSERT_THAT(done, SizeIs(1));
  EXPECT_FALSE(done[0].error);
  EXPECT_EQ(done[0].job, request.job);
  EXPECT_THAT(outputs.keys(), IsEmpty()) << "neither the error nor the attempts are held against it";
  const auto messages = requests->receive({.wait = 1s}, {}).value();
  ASSERT_THAT(messages, SizeIs(1));
  const JobRequest again = parse_job_request(messages[0].body).value();
  EXPECT_EQ(again.job, request.job);
  EXPECT_EQ(again.input, request.input);
  EXPECT_GT(again.expires_at, system_clock().wall_now() + 30s);
  EXPECT_EQ(again.reply_to, "responses-here");
  EXPECT_THAT(listed(), SizeIs(1));
}

TEST_P(DeadLettersTest, WhatCannotBeSentAgainSaysWhyAndStays) {
  const JobRequest gone = send_request("gone"), cancelled = send_request("cancelled");
  ASSERT_TRUE(inputs.remove({&gone.input.key, 1}));
  ASSERT_TRUE(outputs.put(result_key(cancelled.job), to_json(failed(cancelled, "cancelled")), {}));
  send("no request");  // perhaps a newer worker can read it
  const auto done = letters().redrive({}).value();
  std::map<std::string, std::string> why;
  for (const auto& one : done) why[one.job.str()] = one.error ? one.error->code : "";
  EXPECT_EQ(why, (std::map<std::string, std::string>{
                     {gone.job.str(), "image_gone"}, {cancelled.job.str(), "job_cancelled"}, {"", ""}}));
  EXPECT_THAT(listed(), SizeIs(2));
  outputs.faults.fail_next(StoreCall::get, 2);
  send_request("outage");
  const auto during_outage = letters().redrive({}).value();
  for (const auto& one : during_outage) EXPECT_TRUE(one.error);
  EXPECT_THAT(listed(), SizeIs(3));
}

TEST_P(DeadLettersTest, AResultOfAnotherVersionIsNotTakenForNone) {
  const JobRequest request = send_request("a");
  const std::string newer = R"({"v":2,"job":")" + request.job.str() + R"("})";
  ASSERT_TRUE(outputs.put(result_key(request.job), newer, {}));
  EXPECT_EQ(listed().at(0).error.code, "other_version");
  const auto done = letters().redrive({}).value();
  ASSERT_THAT(done, SizeIs(1));
  ASSERT_TRUE(done[0].error);
  EXPECT_EQ(done[0].error->code, "other_version");
  EXPECT_EQ(outputs.get(result_key(request.job), kMiB)->bytes, newer);
  EXPECT_THAT(listed(), SizeIs(1));
}

TEST_P(DeadLettersTest, Dropped) {
  send_request("a");
  send("b");
  const std::vector<MessageId> ids = {listed().at(0).id, MessageId("no-such")};
  const auto done = letters().drop(ids).value();
  ASSERT_THAT(done, SizeIs(2));
  EXPECT_FALSE(done[0].error);
  EXPECT_EQ(done[1].error->code, "unknown_dead_letter");
  EXPECT_THAT(listed(), SizeIs(1));
  EXPECT_THAT(letters().drop({}).value(), SizeIs(1));
  EXPECT_THAT(listed(), IsEmpty());
  EXPECT_THAT(outputs.keys(), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Queues, DeadLettersTest, testing::Values(Kind::memory, Kind::sqlite),
                         [](const auto& kind) { return kind.param == Kind::memory ? "Memory" : "Sqlite"; });

TEST(DeadLettersOverHttp, ListedSentAgainAndDropped) {
  Backend backend;
  WebNode node(backend);
  test::FakeWorker worker(backend);
  JobRequest request;
  request.job = make_job_id(system_clock().wall_now(), system_rng());
  request.session = SessionId("s");
  request.name = "photo.jpg";
  const std::string image = jpeg_of("cat");
  request.input = {
      .bucket = "inputs", .key = input_key(request.job), .bytes = image.size(), .sha256 = sha256_hex(image)};
  request.reply_to = "responses-of-test";
  ASSERT_TRUE(backend.inputs.put(request.input.key, image, {}));
  backend.store(failed(request, "poison"));
  backend.dead_letters.push(to_json(request));
  backend.dead_letters.push("no request");

  const json listing = json::parse(node.get("/v1/dead-letters").body);
  ASSERT_EQ(listing["dead_letters"].size(), 2U) << listing;
  EXPECT_EQ(listing["complete"], true);
  const json& letter = listing["dead_letters"][0];
  EXPECT_EQ(letter["job"], request.job.str());
  EXPECT_EQ(letter["error"]["code"], "poison");
  EXPECT_EQ(letter["error"]["detail"], "why");
  const auto path = [](const json& of) { return "/v1/dead-letters/" + of["id"].get<std::string>(); };
  const HttpReply sent = node.ask({.method = "POST", .target = path(letter) + "/redrive", .headers = {}, .body = {}});
  EXPECT_EQ(sent.status, 200) << sent.body;
  EXPECT_EQ(json::parse(sent.body)["job"], request.job.str());
  // It gets its labels: the error that was stored is not in their way.
  ASSERT_TRUE(test::eventually([&] {
    const HttpReply job = node.get("/v1/jobs/" + request.job.str());
    return job.status == 200 && json::parse(job.body)["state"] == "done";
  }));
  const HttpReply dropped =
      node.ask({.method = "DELETE", .target = path(listing["dead_letters"][1]), .headers = {}, .body = {}});
  EXPECT_EQ(dropped.status, 200) << dropped.body;
  EXPECT_TRUE(json::parse(node.get("/v1/dead-letters").body)["dead_letters"].empty());
  EXPECT_EQ(node.ask({.method = "DELETE", .target = path(letter), .headers = {}, .body = {}}).status, 404);
  EXPECT_EQ(node.get("/v1/dead-letters?limit=0").status, 400);
}

}  // namespace
}  // namespace imgrec::dead_letters_test
