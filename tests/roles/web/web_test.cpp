#include "roles/web/web.hpp"
#include "roles/web/access/owner.hpp"
#include "roles/web/page/page.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "lib/job/worker_start.hpp"
#include "tests/roles/web/web_node.hpp"
#include "tests/support/shared_data.hpp"

namespace imgrec::web_test {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using test::Backend;
using test::eventually;
using test::FakeWorker;
using test::form_post;
using test::HttpAsk;
using test::HttpReply;
using test::jpeg_of;
using test::QueueCall;
using test::StoreCall;
using test::WebNode;
using testing::HasSubstr;

HttpAsk with(HttpAsk ask, std::vector<std::pair<std::string, std::string>> headers) {
  std::ranges::move(headers, std::back_inserter(ask.headers));
  return ask;
}

HttpAsk raw_post(const std::string& target, std::string body) {
  return {.method = "POST", .target = target, .headers = {{"Content-Type", "image/jpeg"}}, .body = std::move(body)};
}

std::string percent_encoded(std::string_view text) {
  std::string encoded;
  for (const char byte : text) {
    char buffer[4];
    std::snprintf(buffer, sizeof buffer, "%%%02X", static_cast<unsigned>(static_cast<unsigned char>(byte)));
    encoded += buffer;
  }
  return encoded;
}

// ---- The reference clients
// -------------------------------------------------------------------------------------------

TEST(Compat, BothDialectsByteForByte) {
  Backend backend;
  WebNode node(backend);
  FakeWorker worker(backend);
  const HttpReply of_2021 =
      node.ask(form_post("/php_server.php", {{"myfile", "test_93.JPEG", jpeg_of("custard apple")}}));
  EXPECT_EQ(of_2021.status, 200);
  EXPECT_EQ(of_2021.body, "custard apple");
  EXPECT_THAT(of_2021.header("content-type"), testing::StartsWith("text/plain"));
  EXPECT_EQ(of_2021.header("set-cookie"), "");

  const HttpReply of_2026 = node.ask(form_post("/", {{"inputFile", "test_00.jpg", jpeg_of("Paul")}}));
  EXPECT_EQ(of_2026.status, 200);
  EXPECT_EQ(of_2026.body, "test_00:Paul");
  EXPECT_EQ(node.ask(form_post("/", {{"inputFile", "a:b.c.jpg", jpeg_of("Paul")}})).body, "a_b.c:Paul");
  EXPECT_EQ(node.ask(form_post("/any/path", {{"whatever", "x.png", jpeg_of("cat")}})).body, "cat");
  EXPECT_EQ(node.ask(raw_post("/raw", jpeg_of("dog"))).body, "dog");
}

// A page of another site whose name was made to lead to this machine is "of the same site": only Host tells.
TEST(Hosts, ANameOfAnotherSiteReachesNothing) {
  Backend backend;
  WebSettings settings = WebNode::default_settings();
  settings.known_hosts = {"box.example"};
  WebNode node(backend, settings);
  FakeWorker worker(backend);
  const std::vector<std::pair<std::string, std::string>> rebound = {{"Host", "evil.example"},
                                                                    {"Origin", "http://evil.example"}};
  for (const char* path : {"/", "/results", "/metrics", "/v1/jobs/01ARYZ6S41TSV4RRFFQ69G5FAV", "/nothing"}) {
    const HttpReply reply = node.ask({.method = "GET", .target = path, .headers = rebound, .body = {}});
    EXPECT_EQ(reply.status, 421) << path;
    EXPECT_THAT(reply.body, testing::HasSubstr("web.hosts")) << path;
  }
  EXPECT_EQ(json::parse(node.ask(with(raw_post("/v1/classify", jpeg_of("cat")), rebound)).body)["code"],
            "unknown_host");
  const HttpReply compatible = node.ask(with(form_post("/", {{"myfile", "t.jpg", jpeg_of("cat")}}), rebound));
  EXPECT_EQ(compatible.status, 421);
  EXPECT_THAT(compatible.header("content-type"), testing::StartsWith("text/plain"));
  for (const char* host : {"localhost:1", "box.example", "127.0.0.1"}) {
    EXPECT_EQ(node.ask(with(form_post("/", {{"myfile", "t.jpg", jpeg_of("cat")}}), {{"Host", host}})).body, "cat")
        << host;
  }
}

TEST(Compat, JsonOnRequest) {
  Backend backend;
  WebNode node(backend);
  FakeWorker worker(backend);
  const HttpReply reply =
      node.ask(with(form_post("/", {{"myfile", "t.jpg", jpeg_of("cat")}}), {{"Accept", "application/json"}}));
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(json::parse(reply.body)["labels"][0]["label"], "cat");
}

TEST(Compat, AHundredWaitForTheFirstWorkerAndEachGetsItsOwn) {
  Backend backend;
  WebNode node(backend);
  std::vector<std::future<HttpReply>> replies;
  for (int i = 0; i < 100; ++i) {
    const std::string n = std::to_string(i);
    replies.push_back(node.ask_later(
        form_post("/", {{i % 2 ? "myfile" : "inputFile", "test_" + n + ".jpg", jpeg_of("label " + n)}})));
  }
  ASSERT_TRUE(eventually([&] { return node.metric("imgrec_web_pending_jobs") == 100; }));
  EXPECT_EQ(node.metric("imgrec_web_waiting_clients"), 100);
  for (auto& reply : replies) EXPECT_EQ(reply.wait_for(0s), std::future_status::timeout);

  FakeWorker worker(backend);
  for (int i = 0; i < 100; ++i) {
    const std::string n = std::to_string(i);
    const HttpReply reply = replies[static_cast<std::size_t>(i)].get();
    EXPECT_EQ(reply.status, 200);
    EXPECT_EQ(reply.body, i % 2 ? "label " + n : "test_" + n + ":label " + n);
  }
  EXPECT_EQ(node.metric("imgrec_web_answers_total{outcome=\"labels\"}"), 100);
  EXPECT_EQ(node.metric("imgrec_web_waiting_clients"), 0);
}

TEST(Compat, HeldThroughAnOutageOfStoreAndQueue) {
  Backend backend;
  WebNode node(backend);
  FakeWorker worker(backend);
  backend.inputs.faults.fail_next(StoreCall::put, 2);
  backend.requests.faults.fail_next(QueueCall::send, 2);
  const HttpReply reply = node.ask(form_post("/", {{"myfile", "t.jpg", jpeg_of("cat")}}));
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.body, "cat");
}

TEST(Compat, ErrorsArePlainText) {
  Backend backend;
  WebNode node(backend);
  FakeWorker worker(backend);
  const HttpReply no_image = node.ask(raw_post("/", ""));
  EXPECT_EQ(no_image.status, 400);
  EXPECT_THAT(no_image.header("content-type"), testing::StartsWith("text/plain"));
  EXPECT_THAT(no_image.body, HasSubstr("inputFile"));
  EXPECT_EQ(node.ask(form_post("/", {{"myfile", "a.txt", "hello"}})).status, 415);
  EXPECT_EQ(node.ask(form_post("/", {{"myfile", "a.jpg", jpeg_of("error image_truncated")}})).status, 422);
  EXPECT_EQ(node.ask(form_post("/", {{"myfile", "a.jpg", jpeg_of("error poison")}})).status, 500);
}

TEST(Compat, TheLongestWaitEndsIn504) {
  Backend backend;
  WebSettings settings = WebNode::default_settings();
  settings.web.wait_max = 300ms;
  WebNode node(backend, settings);
  const HttpReply reply = node.ask(form_post("/", {{"myfile", "t.jpg", jpeg_of("cat")}}));
  EXPECT_EQ(reply.status, 504);
  EXPECT_THAT(reply.header("content-type"), testing::StartsWith("text/plain"));
}

TEST(Aliases, UploadClassifyResultsReset) {
  Backend backend;
  WebNode node(backend);
  FakeWorker worker(backend);
  const HttpReply upload = node.ask(form_post("/upload", {{"image", "one.jpg", jpeg_of("cat")}}));
  EXPECT_EQ(upload.body, "cat");
  EXPECT_THAT(upload.header("set-cookie"), testing::StartsWith("imgrec_session="));

  const std::string session = "my-session";
  const HttpReply several = node.ask(with(form_post("/classify", {{"files", "b.jpg", jpeg_of("dog")},
                                                                  {"files", "a.jpg", jpeg_of("error image_corrupt")},
                                                                  {"files", "b2.jpg", jpeg_of("cow")}}),
                                          {{"X-Session-Id", session}, {"Accept", "application/json"}}));
  EXPECT_EQ(several.status, 200);
  const json results = json::parse(several.body)["results"];
  ASSERT_EQ(results.size(), 3U);
  EXPECT_EQ(results[0]["labels"][0]["label"], "dog");
  EXPECT_EQ(results[1]["error"]["code"], "image_corrupt");
  EXPECT_EQ(results[2]["name"], "b2.jpg");

  const auto list = [&](const std::string& of) {
    return json::parse(
        node.ask({.target = "/results", .headers = {{"Cookie", "imgrec_session=" + of}}, .body = {}}).body);
  };
  EXPECT_EQ(list(session), json({{"b.jpg", "dog"}, {"a.jpg", "error: image_corrupt"}, {"b2.jpg", "cow"}}));
  EXPECT_EQ(list("someone-else"), json::object());
  const HttpReply full = node.ask(
      {.target = "/results", .headers = {{"X-Session-Id", session}, {"Accept", "application/json"}}, .body = {}});
  EXPECT_EQ(json::parse(full.body)["results"].size(), 3U);
  EXPECT_EQ(node.ask({.method = "POST", .target = "/reset", .headers = {{"X-Session-Id", session}}, .body = {}}).status,
            200);
  EXPECT_EQ(list(session), json::object());
}

// ---- v1
// --------------------------------------------------------------------------------------------------------------

TEST(V1Classify, OneImageIsItsResultDocument) {
  Backend backend;
  WebNode node(backend);
  FakeWorker worker(backend);
  const std::string trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const HttpReply reply =
      node.ask(with(raw_post("/v1/classify?name=x%20y.jpg&top_k=3", jpeg_of("cat")), {{"traceparent", trace}}));
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.header("content-type"), "application/json");
  EXPECT_NE(reply.header("x-request-id"), "");
  EXPECT_EQ(reply.header("x-content-type-options"), "nosniff");
  const json document = json::parse(reply.body);
  EXPECT_EQ(document["name"], "x y.jpg");
  EXPECT_EQ(document["labels"].size(), 3U);
  EXPECT_TRUE(parse_job_result(reply.body));
}

TEST(V1Classify, TheRequestMessageIsWhole) {
  Backend backend;
  WebNode node(backend);
  const std::string trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  auto reply = node.ask_later(with(raw_post("/v1/classify?name=a/../b.jpg", jpeg_of("cat")),
                                   {{"traceparent", trace}, {"X-Session-Id", "sess"}}));
  const JobRequest request = backend.take(1).at(0);
  EXPECT_EQ(request.session.str(), "sess");
  EXPECT_EQ(request.name, "a/../b.jpg");
  EXPECT_EQ(request.traceparent, trace);
  EXPECT_EQ(request.top_k, 5);
  EXPECT_EQ(request.reply_to, "responses-of-test");
  EXPECT_EQ(request.input.bucket, "inputs");
  EXPECT_EQ(request.owner, make_owner_id(SessionId("sess")));
  EXPECT_EQ(request.input.key, input_key(request.job, request.owner));
  EXPECT_EQ(request.expires_at - request.submitted_at, 24h);
  backend.store_and_respond(test::answer_of(request, backend.image_of(request)));
  EXPECT_EQ(reply.get().status, 200);
}

TEST(V1Classify, AnswersOutOfOrderAndTwiceReachTheirOwnClientsOnce) {
  Backend backend;
  WebNode node(backend);
  std::vector<std::future<HttpReply>> replies;
  for (int i = 0; i < 30; ++i) {
    replies.push_back(
        node.ask_later(raw_post("/v1/classify?name=n" + std::to_string(i), jpeg_of("label " + std::to_string(i)))));
  }
  std::vector<JobRequest> requests = backend.take(30);
  std::ranges::reverse(requests);
  for (const JobRequest& request : requests) {
    const JobResult result = test::answer_of(request, backend.image_of(request));
    backend.store_and_respond(result);
    backend.respond(result);
  }
  for (int i = 0; i < 30; ++i) {
    const json document = json::parse(replies[static_cast<std::size_t>(i)].get().body);
    EXPECT_EQ(document["name"], "n" + std::to_string(i));
    EXPECT_EQ(document["labels"][0]["label"], "label " + std::to_string(i));
  }
  EXPECT_TRUE(eventually([&] { return backend.responses.bodies().empty(); }));
  EXPECT_EQ(node.metric("imgrec_web_answers_total{outcome=\"labels\"}"), 30);
}

TEST(V1Classify, SeveralImagesInTheOrderSentEachWithItsOwnLabelsOrError) {
  Backend backend;
  WebNode node(backend);
  FakeWorker worker(backend);
  const HttpReply reply = node.ask(form_post("/v1/classify", {{"a", "1.jpg", jpeg_of("one")},
                                                              {"b", "2.txt", "text"},
                                                              {"c", "3.jpg", jpeg_of("error image_truncated")},
                                                              {"d", "4.jpg", jpeg_of("four")}}));
  EXPECT_EQ(reply.status, 200);
  const json results = json::parse(reply.body)["results"];
  ASSERT_EQ(results.size(), 4U);
  EXPECT_EQ(results[0]["labels"][0]["label"], "one");
  EXPECT_EQ(results[1]["error"]["code"], "unsupported_format");
  EXPECT_EQ(results[1]["name"], "2.txt");
  EXPECT_EQ(results[2]["error"]["code"], "image_truncated");
  EXPECT_EQ(results[3]["labels"][0]["label"], "four");
}

TEST(V1Classify, ErrorsAreProblemsWithARequestId) {
  Backend backend;
  WebSettings settings = WebNode::default_settings();
  settings.image.bytes_max = 100;
  settings.web.images_per_request_max = 2;
  settings.web.body_bytes_max = 10'000;
  WebNode node(backend, settings);
  FakeWorker worker(backend);
  const auto expect_problem = [](const HttpReply& reply, int status, const std::string& code) {
    EXPECT_EQ(reply.status, status) << reply.body;
    EXPECT_EQ(reply.header("content-type"), "application/problem+json");
    const json problem = json::parse(reply.body, nullptr, false);
    ASSERT_TRUE(problem.is_object()) << reply.body;
    EXPECT_EQ(problem["status"], status);
    EXPECT_EQ(problem["code"], code);
    EXPECT_EQ(problem["request_id"], reply.header("x-request-id"));
    EXPECT_FALSE(problem["detail"].get<std::string>().empty());
  };
  const std::string path = "/v1/classify";
  expect_problem(node.ask(raw_post(path, "")), 400, "no_image");
  expect_problem(node.ask(raw_post(path, "GIF is not it")), 415, "unsupported_format");
  expect_problem(node.ask(raw_post(path, jpeg_of(std::string(200, 'x')))), 413, "image_too_large");
  expect_problem(node.ask(form_post(path, {{"f", "empty.jpg", ""}})), 422, "image_empty");
  expect_problem(node.ask(form_post(path, {{"f", "1", jpeg_of("")}, {"f", "2", jpeg_of("")}, {"f", "3", jpeg_of("")}})),
                 413, "too_many_images");
  expect_problem(node.ask(raw_post(path + "?top_k=0", jpeg_of("x"))), 400, "bad_top_k");
  HttpAsk broken = form_post(path, {{"f", "1", jpeg_of("")}});
  broken.body.resize(broken.body.size() - 6);
  expect_problem(node.ask(broken), 400, "bad_multipart");
  expect_problem(node.ask(raw_post(path, jpeg_of("error image_corrupt"))), 422, "image_corrupt");
  expect_problem(node.ask(raw_post(path, jpeg_of("error image_too_large"))), 413, "image_too_large");
  expect_problem(node.ask(raw_post(path, jpeg_of("error unsupported_format"))), 415, "unsupported_format");
  expect_problem(node.ask(raw_post(path, jpeg_of("error poison"))), 500, "poison");
  expect_problem(node.ask(raw_post("/v1/nothing", "x")), 404, "not_found");
  expect_problem(node.get("/nothing"), 404, "not_found");
  const HttpReply method = node.get(path);
  expect_problem(method, 405, "method_not_allowed");
  EXPECT_EQ(method.header("allow"), "POST, OPTIONS");
  EXPECT_EQ(node.ask(raw_post(path, std::string(20'000, 'x'))).status, 413);
}

TEST(V1Classify, AQueueOutageIs503WithRetryAfter) {
  Backend backend;
  WebNode node(backend);
  backend.requests.faults.set_outage(Error{ErrorKind::transient, "connection_failed", "The queue is out of reach."});
  const HttpReply reply = node.ask(raw_post("/v1/classify", jpeg_of("cat")));
  EXPECT_EQ(reply.status, 503);
  EXPECT_NE(reply.header("retry-after"), "");
  const HttpReply async = node.ask(with(raw_post("/v1/classify", jpeg_of("cat")), {{"Prefer", "respond-async"}}));
  EXPECT_EQ(async.status, 503) << "no job id for what is not in the queue";
  EXPECT_EQ(node.metric("imgrec_web_pending_jobs"), 0);
}

TEST(V1Classify, RespondAsyncThenTheJob) {
  Backend backend;
  WebNode node(backend);
  const HttpReply accepted = node.ask(with(raw_post("/v1/classify", jpeg_of("cat")), {{"Prefer", "respond-async"}}));
  EXPECT_EQ(accepted.status, 202);
  const std::string location = accepted.header("location");
  EXPECT_EQ(json::parse(accepted.body)["location"], location);
  const HttpReply pending = node.get(location);
  EXPECT_EQ(pending.status, 202);
  EXPECT_EQ(json::parse(pending.body)["status"], "pending");

  const JobRequest request = backend.take(1).at(0);
  EXPECT_EQ(location, "/v1/jobs/" + request.job.str());
  auto held = node.ask_later({.target = location, .headers = {{"Prefer", "wait=60"}}, .body = {}});
  ASSERT_TRUE(eventually([&] { return node.metric("imgrec_web_waiting_clients") == 1; }));
  backend.store_and_respond(test::answer_of(request, backend.image_of(request)));
  EXPECT_EQ(json::parse(held.get().body)["labels"][0]["label"], "cat");
  const HttpReply done = node.get(location);
  EXPECT_EQ(done.status, 200);
  EXPECT_EQ(json::parse(done.body)["job"], request.job.str());
}

TEST(V1Classify, RespondAsyncForSeveralIsAListOfJobs) {
  Backend backend;
  WebNode node(backend);
  const HttpReply reply =
      node.ask(with(form_post("/v1/classify", {{"a", "1", jpeg_of("1")}, {"a", "2", "text"}, {"a", "3", jpeg_of("3")}}),
                    {{"Prefer", "respond-async"}}));
  EXPECT_EQ(reply.status, 202);
  const json jobs = json::parse(reply.body)["jobs"];
  ASSERT_EQ(jobs.size(), 3U);
  EXPECT_EQ(node.get(jobs[0]["location"]).status, 202);
  EXPECT_EQ(jobs[1]["error"]["code"], "unsupported_format");
  EXPECT_EQ(jobs[2]["name"], "3");
  backend.take(2);
}

TEST(V1Classify, WaitEndsInAcceptedAndTheLongestWaitToo) {
  Backend backend;
  WebSettings settings = WebNode::default_settings();
  settings.web.wait_max = 500ms;
  WebNode node(backend, settings);
  for (const char* prefer : {"wait=0", "wait=100", "handling=strict"}) {
    const HttpReply reply = node.ask(with(raw_post("/v1/classify", jpeg_of("cat")), {{"Prefer", prefer}}));
    EXPECT_EQ(reply.status, 202) << prefer;
    EXPECT_EQ(node.get(reply.header("location")).status, 202);
  }
  backend.take(3);
}

TEST(V1Classify, JsonIsAnsweredInOrderWithItsOptions) {
  Backend backend;
  const WebNode node(backend);
  FakeWorker worker(backend);
  const HttpAsk ask{.method = "POST",
                    .target = "/v1/classify",
                    .headers = {{"Content-Type", "application/json"}},
                    // base64 of jpeg_of("cat"), of no image, and of jpeg_of("dog")
                    .body = R"({"images":[{"name":"1","content":"/9j/4GNhdA=="},{"name":"2","content":"AAAA"},)"
                            R"({"name":"3","content":"/9j/4GRvZw=="}],"top_k":3,"min_score":0.4})"};
  const HttpReply reply = node.ask(ask);
  EXPECT_EQ(reply.status, 200) << reply.body;
  const json results = json::parse(reply.body)["results"];
  ASSERT_EQ(results.size(), 3U);
  EXPECT_EQ(results[0]["labels"].size(), 2U) << "0.9 and 0.45, and not 0.3";
  EXPECT_EQ(results[0]["labels"][0]["label"], "cat");
  EXPECT_EQ(results[0]["name"], "1");
  EXPECT_EQ(results[1]["error"]["code"], "unsupported_format");
  EXPECT_EQ(results[2]["labels"][0]["label"], "dog");

  HttpAsk one = ask;
  one.body = R"({"images":[{"content":"/9j/4GNhdA=="}]})";
  EXPECT_EQ(json::parse(node.ask(one).body)["results"].size(), 1U);
  one.body = R"({"content":"/9j/4GNhdA=="})";
  EXPECT_EQ(json::parse(node.ask(one).body)["labels"][0]["label"], "cat");
  one.body = R"({"content":"/9j/4GNhdA==","model":"other"})";
  const HttpReply refused = node.ask(one);
  EXPECT_EQ(refused.status, 404);
  EXPECT_EQ(json::parse(refused.body)["code"], "unknown_model");
  EXPECT_THAT(json::parse(refused.body)["detail"].get<std::string>(), HasSubstr("resnet18"));
}

TEST(Options, ListsTheMethodsOfAPath) {
  Backend backend;
  const WebNode node(backend);
  const HttpReply reply = node.ask({.method = "OPTIONS", .target = "/v1/jobs/x", .headers = {}, .body = {}});
  EXPECT_EQ(reply.status, 204);
  EXPECT_EQ(reply.header("allow"), "GET, HEAD, DELETE, OPTIONS");
  EXPECT_EQ(node.ask({.method = "OPTIONS", .target = "/v1/nothing", .headers = {}, .body = {}}).status, 404);
  EXPECT_EQ(node.ask({.method = "TRACE", .target = "/healthz", .headers = {}, .body = {}}).status, 405);
  const HttpReply refused = node.ask({.method = "DELETE", .target = "/healthz", .headers = {}, .body = {}});
  EXPECT_EQ(refused.status, 405);
  EXPECT_EQ(refused.header("allow"), "GET, HEAD, OPTIONS");
}

TEST(V1Jobs, UnknownIs404) {
  Backend backend;
  WebNode node(backend);
  EXPECT_EQ(node.get("/v1/jobs/01ARZ3NDEKTSV4RRFFQ69G5FAV").status, 404);
  EXPECT_EQ(node.get("/v1/jobs/..%2F..%2Fetc%2Fpasswd").status, 404);
  EXPECT_EQ(node.get("/v1/jobs/").status, 404);
}

TEST(V1Jobs, AResultThatTheClientHasIsNotSentAgain) {
  Backend backend;
  const WebNode node(backend);
  FakeWorker worker(backend);
  const HttpReply classified = node.ask(raw_post("/v1/classify", jpeg_of("cat")));
  EXPECT_THAT(classified.header("server-timing"), HasSubstr("infer;dur="));
  HttpAsk ask{.method = "GET",
              .target = "/v1/jobs/" + json::parse(classified.body)["job"].get<std::string>(),
              .headers = {},
              .body = {}};
  const HttpReply first = node.ask(ask);
  EXPECT_EQ(first.status, 200);
  EXPECT_EQ(first.header("cache-control"), "private, no-cache");
  ask.headers = {{"If-None-Match", first.header("etag")}};
  const HttpReply again = node.ask(ask);
  EXPECT_EQ(again.status, 304);
  EXPECT_EQ(again.body, "");
  EXPECT_EQ(again.header("etag"), first.header("etag"));
  ask.headers = {{"If-None-Match", "\"other\""}};
  EXPECT_EQ(node.ask(ask).body, first.body);
}

TEST(V1Jobs, SurviveARestartAndTellErrors) {
  Backend backend;
  std::vector<std::string> locations;
  {
    WebNode node(backend);
    for (const char* content : {"cat", "error image_corrupt", "still waiting"}) {
      locations.push_back(
          node.ask(with(raw_post("/v1/classify", jpeg_of(content)), {{"Prefer", "respond-async"}})).header("location"));
    }
  }
  for (const JobRequest& request : backend.take(3)) {
    const JobResult result = test::answer_of(request, backend.image_of(request));
    if (result.error || result.labels[0].label == "cat") backend.store_and_respond(result);
  }
  WebNode node(backend);
  EXPECT_EQ(json::parse(node.get(locations[0]).body)["labels"][0]["label"], "cat");
  const HttpReply failed = node.get(locations[1]);
  EXPECT_EQ(failed.status, 200);
  EXPECT_EQ(json::parse(failed.body)["error"]["code"], "image_corrupt");
  EXPECT_EQ(node.get(locations[2]).status, 202);
  EXPECT_TRUE(eventually([&] { return backend.responses.bodies().empty(); }))
      << "answers of the earlier life are removed";
}

TEST(V1Classify, ALostResponseIsFoundThroughTheStore) {
  Backend backend;
  WebNode node(backend);
  auto reply = node.ask_later(raw_post("/v1/classify", jpeg_of("cat")));
  const JobRequest request = backend.take(1).at(0);
  backend.store(test::answer_of(request, backend.image_of(request)));
  EXPECT_EQ(json::parse(reply.get().body)["labels"][0]["label"], "cat");
}

TEST(V1Classify, EveryNaughtyNameComesBackExactlyAndNeverReachesAKey) {
  IMGREC_NEED_SHARED(folder, test::unpacked_testdata("filenames-blns"));
  std::ifstream file(folder / "blns.json");
  const json names = json::parse(file);
  Backend backend;
  WebNode node(backend);
  FakeWorker worker(backend);
  int count = 0;
  for (const json& entry : names) {
    const std::string name = entry;
    const HttpReply raw = node.ask(raw_post("/v1/classify?name=" + percent_encoded(name), jpeg_of("cat")));
    ASSERT_EQ(raw.status, 200) << name << raw.body;
    EXPECT_EQ(json::parse(raw.body)["name"].get<std::string>(), name);
    // As browsers write it: only these three are escaped (WHATWG HTML, multipart/form-data encoding).
    std::string quoted;
    for (const char byte : name)
      quoted += byte == '"' ? "%22" : byte == '\r' ? "%0D" : byte == '\n' ? "%0A" : std::string(1, byte);
    const bool plain = name.find('\\') == std::string::npos && name.find('%') == std::string::npos;
    if (!plain) continue;
    const HttpReply form = node.ask(form_post("/v1/classify", {{"f", quoted, jpeg_of("cat")}}));
    ASSERT_EQ(form.status, 200) << name << form.body;
    EXPECT_EQ(json::parse(form.body)["name"].get<std::string>(), name);
    ++count;
  }
  EXPECT_GT(count, 300);
  for (const ObjectKey& key : backend.inputs.keys()) EXPECT_TRUE(parse_job_id(key.str().substr(7))) << key;
}

// ---- The rest
// --------------------------------------------------------------------------------------------------------

TEST(Site, OtherOriginsMayNotPost) {
  Backend backend;
  WebNode node(backend);
  FakeWorker worker(backend);
  const std::string own = "http://127.0.0.1:" + std::to_string(node.port());
  for (const char* path : {"/v1/classify", "/upload", "/", "/any"}) {
    EXPECT_EQ(
        node.ask(with(form_post(path, {{"myfile", "a", jpeg_of("cat")}}), {{"Origin", "http://evil.example"}})).status,
        403);
    const HttpReply reply = node.ask(with(form_post(path, {{"myfile", "a", jpeg_of("cat")}}), {{"Origin", own}}));
    EXPECT_EQ(reply.status, 200);
    EXPECT_EQ(reply.header("access-control-allow-origin"), "");
  }
  EXPECT_EQ(node.ask({.method = "POST", .target = "/reset", .headers = {{"Origin", "null"}}, .body = {}}).status, 403);
}

TEST(Page, IsSelfContainedUnderAStrictPolicy) {
  Backend backend;
  WebNode node(backend);
  const HttpReply page = node.get("/");
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(page.header("content-type"), "text/html; charset=utf-8");
  const std::string policy = page.header("content-security-policy");
  for (const char* part : {"default-src 'self'", "object-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"}) {
    EXPECT_THAT(policy, HasSubstr(part));
  }
  for (const char* part : {"unsafe", "blob:", "data:", "http", "*"}) EXPECT_THAT(policy, testing::Not(HasSubstr(part)));
  EXPECT_THAT(page.header("set-cookie"), HasSubstr("; HttpOnly; SameSite=Lax"));
  EXPECT_THAT(page.body, testing::Not(testing::ContainsRegex("<script>|<style|[ ]style=|[ ]on[a-z]+=")));
  EXPECT_EQ(node.get("/app.js").header("content-type"), "text/javascript; charset=utf-8");
  for (const PageFile& file : page_files()) {
    if (file.is_gzipped) continue;  // swagger-ui, which the policy keeps in bounds
    const std::string body = node.get(std::string(file.path)).body;
    EXPECT_EQ(body, file.bytes);
    EXPECT_THAT(body,
                testing::Not(testing::ContainsRegex("innerHTML|outerHTML|insertAdjacentHTML|document.write|eval")))
        << file.path;
  }
  EXPECT_EQ(node.get("/style.css").status, 200);
  EXPECT_EQ(node.get("/favicon.svg").status, 200);
  const HttpReply known =
      node.ask({.target = "/",
                .headers = {{"Cookie", "imgrec_session=abc"}, {"If-None-Match", page.header("etag")}},
                .body = {}});
  EXPECT_EQ(known.status, 304);
  EXPECT_EQ(known.header("set-cookie"), "");
}

TEST(Health, ReadyOnlyWhileImagesCanBeTakenIn) {
  Backend backend;
  WebSettings settings = WebNode::default_settings();
  settings.web.readiness_interval = 20ms;
  settings.web.readiness_probe = 20ms;
  WebNode node(backend, settings);
  EXPECT_EQ(node.get("/healthz").status, 200);
  EXPECT_EQ(node.get("/readyz").status, 200);
  const auto says = [&](int status, const char* what) {
    return eventually([&] {
      const HttpReply reply = node.get("/readyz");
      return reply.status == status && reply.body.find(what) != std::string::npos;
    });
  };
  backend.requests.faults.set_outage(test::injected_error());
  EXPECT_TRUE(says(503, "request queue"));
  EXPECT_EQ(node.get("/healthz").status, 200);
  backend.requests.faults.set_outage(std::nullopt);
  EXPECT_TRUE(says(200, "ready"));
  // Reading works, writing does not: a file system that is read-only, or full.
  backend.inputs.set_capacity(1);
  EXPECT_TRUE(says(503, "image store"));
  backend.inputs.set_capacity(kMiB);
  EXPECT_TRUE(says(200, "ready"));
  EXPECT_TRUE(backend.inputs.keys().empty()) << "a probe is removed";
  backend.responses.faults.fail_next(QueueCall::send, 1'000);
  EXPECT_TRUE(says(503, "takes no message"));
}

TEST(Health, WritesSeldom) {
  Backend backend;
  WebSettings settings = WebNode::default_settings();
  settings.web.readiness_interval = 10ms;
  settings.web.readiness_probe = std::chrono::hours(1);
  WebNode node(backend, settings);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(node.get("/readyz").status, 200);
    std::this_thread::sleep_for(20ms);
  }
  EXPECT_EQ(backend.inputs.faults.calls(StoreCall::put), 1);
  EXPECT_EQ(backend.responses.faults.calls(QueueCall::send), 1);
}

TEST(Health, ReadyOverFifoQueues) {
  Backend backend({.fifo = true});
  WebSettings settings = WebNode::default_settings();
  settings.fifo_queues = true;
  settings.web.readiness_interval = 10ms;
  settings.web.readiness_probe = 10ms;
  WebNode node(backend, settings);
  for (int i = 0; i < 3; ++i) {
    const HttpReply ready = node.get("/readyz");
    EXPECT_EQ(ready.status, 200) << ready.body;
    std::this_thread::sleep_for(30ms);
  }
}

TEST(Health, AModelThatNoWorkerCanLoadIsSaidAndClientsAreNotHeld) {
  Backend backend;
  WebSettings settings = WebNode::default_settings();
  settings.web.readiness_interval = 20ms;
  WebNode node(backend, settings);
  auto early = node.ask_later(raw_post("/v1/classify", jpeg_of("cat")));
  backend.take(1);
  const WorkerStartFailure failure{.code = "model_damaged",
                                   .detail = "Run imgrec model pull.",
                                   .worker = "w",
                                   .version = "1",
                                   .at = system_clock().wall_now()};
  ASSERT_TRUE(backend.outputs.put(worker_start_key(), to_json(failure), {}));
  const HttpReply told = early.get();
  EXPECT_EQ(told.status, 503);
  EXPECT_NE(told.header("retry-after"), "");
  EXPECT_EQ(json::parse(told.body)["code"], "model_damaged");
  EXPECT_TRUE(eventually([&] { return backend.inputs.keys().empty(); })) << "nobody waits for it";
  const HttpReply at_once = node.ask(raw_post("/v1/classify", jpeg_of("cat")));
  EXPECT_EQ(at_once.status, 503);
  EXPECT_THAT(at_once.body, HasSubstr("imgrec model pull"));
  const HttpReply ready = node.get("/readyz");
  EXPECT_EQ(ready.status, 503);
  EXPECT_THAT(ready.body, HasSubstr("imgrec model pull"));
  ASSERT_TRUE(backend.outputs.remove(std::vector{worker_start_key()}));
  EXPECT_TRUE(eventually([&] { return node.get("/readyz").status == 200; }));
  FakeWorker worker(backend);
  EXPECT_EQ(node.ask(raw_post("/v1/classify", jpeg_of("cat"))).status, 200);
}

TEST(Health, AliveWhileTheStoreHangs) {
  Backend backend;
  WebSettings settings = WebNode::default_settings();
  settings.web.threads = 1;
  WebNode node(backend, settings);
  std::promise<void> release;
  const std::shared_future<void> released = release.get_future().share();
  backend.inputs.faults.on_call([released](StoreCall) { released.wait(); });
  auto upload = node.ask_later(form_post("/", {{"myfile", "a", jpeg_of("cat")}}));
  ASSERT_TRUE(eventually([&] { return backend.inputs.faults.calls(StoreCall::put) == 1; }));
  EXPECT_EQ(node.get("/healthz").status, 200);
  EXPECT_EQ(node.get("/").status, 200);
  release.set_value();
  FakeWorker worker(backend);
  EXPECT_EQ(upload.get().body, "cat");
}

TEST(Metrics, CountRequestsByRouteAndClass) {
  Backend backend;
  WebNode node(backend);
  FakeWorker worker(backend);
  node.ask(form_post("/x.php", {{"myfile", "a", jpeg_of("cat")}}));
  node.ask(raw_post("/v1/classify", "no image"));
  EXPECT_EQ(node.metric("imgrec_web_requests_total{class=\"2xx\",route=\"compat\"}"), 1);
  EXPECT_EQ(node.metric("imgrec_web_requests_total{class=\"4xx\",route=\"v1_classify\"}"), 1);
  EXPECT_EQ(node.metric("imgrec_web_request_duration_seconds_count{route=\"compat\"}"), 1);
  EXPECT_EQ(node.metric("imgrec_web_upload_bytes_total"), jpeg_of("cat").size());
  EXPECT_EQ(node.metric("imgrec_web_answers_total{outcome=\"refused\"}"), 1);
}

TEST(Drain, WhatIsUnderWayIsAnswered) {
  Backend backend;
  WebNode node(backend);
  auto reply = node.ask_later(form_post("/", {{"myfile", "a", jpeg_of("cat")}}));
  const JobRequest request = backend.take(1).at(0);
  node.request_stop();
  ASSERT_TRUE(eventually([&] { return node.get("/healthz").status == 0; })) << "no new connections";
  backend.store_and_respond(test::answer_of(request, backend.image_of(request)));
  EXPECT_EQ(reply.get().body, "cat");
  EXPECT_TRUE(node.stop());
}

TEST(Drain, WhoStillWaitsAtTheEndIsToldSo) {
  Backend backend;
  WebSettings settings = WebNode::default_settings();
  settings.web.drain_timeout = 1s;
  WebNode node(backend, settings);
  auto held = node.ask_later(form_post("/", {{"myfile", "a", jpeg_of("cat")}}));
  auto polite = node.ask_later(raw_post("/v1/classify", jpeg_of("dog")));
  backend.take(2);
  node.request_stop();
  const HttpReply cut = held.get();
  EXPECT_EQ(cut.status, 504);
  EXPECT_THAT(cut.body, HasSubstr("stopped"));
  const HttpReply accepted = polite.get();
  EXPECT_EQ(accepted.status, 202);
  EXPECT_THAT(accepted.header("location"), testing::StartsWith("/v1/jobs/"));
  EXPECT_TRUE(node.stop());
}

TEST(RunWeb, APortInUseIsAnError) {
  Backend backend;
  WebNode node(backend);
  WebSettings settings = WebNode::default_settings();
  settings.web.port = node.port();
  WebNode second(backend, settings);
  EXPECT_EQ(second.port(), 0);
  EXPECT_EQ(second.stop().error().code, "cannot_listen");
}

}  // namespace
}  // namespace imgrec::web_test
