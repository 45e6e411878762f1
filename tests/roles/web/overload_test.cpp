// What happens when there is more to do than workers do, and when clients leave.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <future>
#include <latch>
#include <nlohmann/json.hpp>
#include <set>

#include "lib/base/file.hpp"
#include "roles/web/upload/task_pool.hpp"
#include "tests/roles/web/web_node.hpp"
#include "tests/support/long_run.hpp"

namespace imgrec::overload_test {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using test::Backend;
using test::eventually;
using test::form_post;
using test::HttpAsk;
using test::HttpReply;
using test::jpeg_of;
using test::WebNode;

HttpAsk image_post(const std::string& prefer = "") {
  HttpAsk ask{
      .method = "POST", .target = "/v1/classify", .headers = {{"Content-Type", "image/jpeg"}}, .body = jpeg_of("cat")};
  if (!prefer.empty()) ask.headers.emplace_back("Prefer", prefer);
  return ask;
}

/// Answers one image every `pause`.
class SlowWorker {
 public:
  SlowWorker(Backend& backend, Millis pause)
      : thread_([&backend, pause](std::stop_token stop) {
          while (!stop.stop_requested()) {
            const auto messages = backend.requests.receive({.messages_max = 1, .wait = 1s, .visibility = 60s}, stop);
            if (!messages || messages->empty()) continue;
            system_clock().sleep_for(pause, stop);
            const JobRequest request = parse_job_request(messages->front().body).value();
            backend.store_and_respond(test::answer_of(request, backend.image_of(request)));
            EXPECT_TRUE(backend.requests.remove(std::vector{messages->front().receipt}));
          }
        }) {}

 private:
  std::jthread thread_;
};

/// A client that sends a request and then does as the test says.
class RawClient {
 public:
  RawClient(int port, const std::string& path) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(port));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
    const std::string body = jpeg_of("cat");
    const std::string text =
        "POST " + path +
        " HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nContent-Length: " + std::to_string(body.size()) +
        "\r\n\r\n" + body;
    EXPECT_EQ(::send(socket_.get(), text.data(), text.size(), MSG_NOSIGNAL), std::ssize(text));
  }
  void leave() { socket_ = Fd(); }
  void end_sending() { ::shutdown(socket_.get(), SHUT_WR); }
  std::string answer() {
    char buffer[4096];
    const ssize_t got = ::recv(socket_.get(), buffer, sizeof buffer, 0);
    return {buffer, static_cast<std::size_t>(std::max<ssize_t>(got, 0))};
  }

 private:
  Fd socket_;
};

TEST(Overload, WhatWouldWaitForTooLongIsRefusedAndTheRestAnswered) {
  Backend backend;
  WebSettings settings = WebNode::default_settings();
  settings.web.queue_wait_max = 500ms;
  settings.web.queue_jobs_min = 4;
  WebNode node(backend, settings);
  // As long as the rate is not known, all are taken.
  for (int i = 0; i < 60; ++i) ASSERT_EQ(node.ask(image_post("respond-async")).status, 202) << i;
  SlowWorker worker(backend, 50ms);
  HttpReply refused;
  ASSERT_TRUE(eventually([&] {
    refused = node.ask(image_post("respond-async"));
    return refused.status != 202;
  }));
  EXPECT_EQ(refused.status, 503);
  EXPECT_GE(std::stoi("0" + refused.header("retry-after")), 1);
  EXPECT_EQ(json::parse(refused.body)["code"], "overloaded");
  EXPECT_EQ(json::parse(refused.body)["retryable"], true);
  // A held client is held all the same.
  auto held = node.ask_later(form_post("/", {{"myfile", "a.jpg", jpeg_of("dog")}}));
  EXPECT_EQ(held.get().body, "dog");
  EXPECT_TRUE(eventually([&] { return node.ask(image_post()).status == 200; })) << "all is normal again";
  EXPECT_GE(node.metric("imgrec_web_requests_total{class=\"5xx\",route=\"v1_classify\"}"), 1);
}

TEST(Overload, BeyondTheLimitV1IsRefusedAndHeldClientsFindNoConnection) {
  Backend backend;
  WebSettings settings = WebNode::default_settings();
  settings.web.pending_jobs_max = 3;
  WebNode node(backend, settings);
  for (int i = 0; i < 3; ++i) ASSERT_EQ(node.ask(image_post("respond-async")).status, 202) << i;
  EXPECT_EQ(node.ask(image_post()).status, 503);
  EXPECT_EQ(node.ask(form_post("/", {{"myfile", "a.jpg", jpeg_of("dog")}})).status, 0) << "no 503 on these routes";
  EXPECT_EQ(node.get("/healthz").status, 200);
}

// One thread that hangs in the store, and places for 2 * (1 + 1) tasks behind it; at least two of seven requests are
// too many.
TEST(Overload, ARequestThatFindsNoPlaceInThePoolIsTold503) {
  Backend backend;
  WebSettings settings = WebNode::default_settings();
  settings.web.threads = 1;
  settings.web.connections_max = 1;
  std::atomic<int> entered = 0;
  std::latch go(1);
  WebNode node(backend, settings);
  backend.outputs.faults.on_call([&](test::StoreCall call) {
    if (call != test::StoreCall::get) return;
    ++entered;
    go.wait();
  });
  // A connection that has not spoken yet may be closed for the next one: then it comes again.
  const auto ask = [port = node.port()] {
    HttpReply reply;
    while (reply.status == 0) {
      reply = test::http_ask(port, {.target = "/v1/jobs/01ARZ3NDEKTSV4RRFFQ69G5FAV", .headers = {}, .body = {}});
    }
    return reply;
  };
  std::vector<std::future<HttpReply>> waiting;
  waiting.push_back(std::async(std::launch::async, ask));
  // The live view reads the store, too, in a thread of its own.
  ASSERT_TRUE(eventually([&] { return entered >= 1; }));
  std::vector<HttpReply> refused;
  for (int i = 0; i < 6; ++i) waiting.push_back(std::async(std::launch::async, ask));
  EXPECT_TRUE(eventually([&] {
    for (auto& reply : waiting) {
      if (reply.valid() && reply.wait_for(0s) == std::future_status::ready) refused.push_back(reply.get());
    }
    return refused.size() >= 2;
  })) << refused.size();
  go.count_down();
  const auto expect_refused = [](const HttpReply& reply) {
    EXPECT_EQ(reply.status, 503);
    EXPECT_GE(std::stoi("0" + reply.header("retry-after")), 1);
    EXPECT_EQ(json::parse(reply.body)["code"], "overloaded");
  };
  for (const HttpReply& reply : refused) expect_refused(reply);
  for (auto& reply : waiting) {
    if (!reply.valid()) continue;
    const HttpReply late = reply.get();
    if (late.status == 503) {
      expect_refused(late);  // meanwhile
    } else {
      EXPECT_EQ(late.status, 404);
    }
  }
}

TEST(TaskPool, AnExceptionEndsItsTaskAlone) {
  TaskPool pool(1, 10);
  std::promise<void> done;
  const auto owned = std::make_shared<int>(1);
  ASSERT_TRUE(pool.try_post([owned] { throw std::runtime_error("as the test wants"); }));
  ASSERT_TRUE(pool.try_post([owned] { throw 7; }));
  ASSERT_TRUE(pool.try_post([&] { done.set_value(); }));
  EXPECT_EQ(done.get_future().wait_for(20s), std::future_status::ready);
  EXPECT_EQ(owned.use_count(), 1) << "what a task owned is destroyed with it";
}

TEST(Overload, AnExceptionInTheStoreIs500AndTheServerGoesOn) {
  Backend backend;
  WebSettings settings = WebNode::default_settings();
  settings.web.threads = 1;
  WebNode node(backend, settings);
  backend.outputs.faults.on_call([](test::StoreCall call) {
    if (call == test::StoreCall::get) throw std::runtime_error("as the test wants");
  });
  for (int i = 0; i < 3; ++i) EXPECT_EQ(node.get("/v1/jobs/01ARZ3NDEKTSV4RRFFQ69G5FAV").status, 500);
  backend.outputs.faults.on_call({});
  EXPECT_EQ(node.get("/v1/jobs/01ARZ3NDEKTSV4RRFFQ69G5FAV").status, 404);
}

TEST(ClientLeaves, ItsImageIsNotWorkedOn) {
  Backend backend;
  WebNode node(backend);
  RawClient client(node.port(), "/v1/classify");
  const JobRequest request = backend.take(1).at(0);
  ASSERT_TRUE(backend.inputs.head(request.input.key));
  client.leave();
  EXPECT_TRUE(eventually([&] { return !backend.inputs.head(request.input.key); }));
  EXPECT_TRUE(eventually([&] { return node.metric("imgrec_web_pending_jobs") == 0; }));
  EXPECT_EQ(node.metric("imgrec_web_answers_total{outcome=\"client_left\"}"), 1);
  EXPECT_EQ(node.metric("imgrec_web_waiting_clients"), 0);
}

TEST(ClientLeaves, AJobWhoseIdWasToldIsWorkedOn) {
  Backend backend;
  WebNode node(backend);
  ASSERT_EQ(node.ask(image_post("respond-async")).status, 202);
  const JobRequest request = backend.take(1).at(0);
  EXPECT_EQ(node.metric("imgrec_web_pending_jobs"), 1);
  EXPECT_TRUE(backend.inputs.head(request.input.key));
}

TEST(ClientLeaves, AHeldClientMayEndItsSendingSide) {
  Backend backend;
  WebNode node(backend);
  RawClient client(node.port(), "/any/path");
  client.end_sending();
  const JobRequest request = backend.take(1).at(0);
  backend.store_and_respond(test::answer_of(request, backend.image_of(request)));
  EXPECT_THAT(client.answer(), testing::StartsWith("HTTP/1.1 200 "));
}

TEST(Results, LargeListsAreStreamedAndPagesAreFollowed) {
  Backend backend;
  WebNode node(backend);
  test::FakeWorker worker(backend);
  std::vector<test::FormFile> files;
  for (int i = 0; i < 60; ++i) files.push_back({"f", std::to_string(i) + ".jpg", jpeg_of("cat")});
  // A list of 1 MB or 5.
  const std::string labels = test::shortened_run() ? "200" : "1000";
  HttpAsk ask = form_post("/v1/classify?top_k=" + labels, files);
  ask.headers.emplace_back("X-Session-Id", "s");
  ASSERT_EQ(node.ask(ask).status, 200);
  const auto list = [&](const std::string& query) {
    const HttpReply reply = node.ask(
        {.target = "/results" + query, .headers = {{"X-Session-Id", "s"}, {"Accept", "application/json"}}, .body = {}});
    EXPECT_EQ(reply.status, 200);
    return json::parse(reply.body);
  };
  const json all = list("");
  EXPECT_EQ(all["results"].size(), 60U);
  EXPECT_EQ(all["results"][59]["serial"], 60);
  std::set<std::string> names;
  std::string cursor = "0";
  for (int pages = 0; !cursor.empty(); ++pages) {
    ASSERT_LT(pages, 4);
    const json page = list("?limit=25&cursor=" + cursor);
    EXPECT_LE(page["results"].size(), 25U);
    EXPECT_EQ(page["count"], 60);
    EXPECT_EQ(page["results"][0]["serial"], 25 * pages + 1);
    for (const json& result : page["results"]) names.insert(result["name"]);
    cursor = page.value("next", "");
  }
  EXPECT_EQ(names.size(), 60U);
  EXPECT_EQ(node.get("/results?limit=x").status, 400);
}

}  // namespace
}  // namespace imgrec::overload_test
