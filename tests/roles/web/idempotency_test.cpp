// The same request sent again with its Idempotency-Key gives the same jobs, on one node and on another.
#include "roles/web/jobs/idempotency.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "roles/web/access/owner.hpp"
#include "tests/roles/web/web_node.hpp"
#include "tests/support/fake_clock.hpp"

namespace imgrec::idempotency_test {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using test::answer_of;
using test::Backend;
using test::eventually;
using test::form_post;
using test::HttpAsk;
using test::HttpReply;
using test::jpeg_of;
using test::StoreCall;
using test::WebNode;

HttpAsk keyed(HttpAsk ask, const std::string& key, const std::string& session = "s") {
  ask.headers.insert(ask.headers.end(), {{"Idempotency-Key", key}, {"X-Session-Id", session}});
  return ask;
}

HttpAsk async(HttpAsk ask) {
  ask.headers.emplace_back("Prefer", "respond-async");
  return ask;
}

HttpAsk image(const std::string& content, const std::string& query = "") {
  return {.method = "POST", .target = "/v1/classify" + query, .headers = {}, .body = jpeg_of(content)};
}

std::string code_of(const HttpReply& reply) {
  return json::parse(reply.body).value("code", "");
}

TEST(Idempotency, TheSameRequestAgainIsTheSameJobOnEveryNode) {
  Backend backend;
  WebNode node(backend), other(backend);
  const std::string location = node.ask(async(keyed(image("cat"), "k-1"))).header("location");
  EXPECT_EQ(other.ask(async(keyed(image("cat"), "k-1"))).header("location"), location);
  EXPECT_EQ(node.ask(async(keyed(image("cat"), "k-1"))).header("location"), location);
  EXPECT_NE(node.ask(async(keyed(image("cat"), "k-2"))).header("location"), location);
  EXPECT_NE(node.ask(async(keyed(image("cat"), "k-1", "s-2"))).header("location"), location) << "another's key";
  const auto requests = backend.take(3);
  EXPECT_EQ(backend.requests.depth()->visible, 0U) << "each job was sent once";
  backend.store_and_respond(answer_of(requests[0], backend.image_of(requests[0])));
  for (const WebNode* asked : {&node, &other}) {
    const HttpReply reply = asked->ask(keyed(image("cat"), "k-1"));
    EXPECT_EQ(reply.status, 200);
    EXPECT_EQ(json::parse(reply.body)["labels"][0]["label"], "cat");
  }
}

TEST(Idempotency, AnotherRequestWithTheSameKeyIsRefused) {
  Backend backend;
  WebNode node(backend);
  EXPECT_EQ(node.ask(async(keyed(image("cat"), "k"))).status, 202);
  for (const HttpAsk& other : {image("dog"), image("cat", "?top_k=3"), image("cat", "?name=x")}) {
    const HttpReply reply = node.ask(async(keyed(other, "k")));
    EXPECT_EQ(reply.status, 422) << other.target;
    EXPECT_EQ(code_of(reply), "idempotency_key_reused");
  }
  for (const std::string& bad : {std::string("a b"), std::string(256, 'k'), std::string("\xC3\xA4")}) {
    EXPECT_EQ(code_of(node.ask(keyed(image("cat"), bad))), "bad_idempotency_key") << bad;
  }
  backend.take(1);
}

// A form's boundary is another one each time; what is refused at the door is refused again.
TEST(Idempotency, HoldsForFormsWithSeveralImages) {
  Backend backend;
  WebNode node(backend);
  const std::vector<test::FormFile> files = {
      {"f", "1", jpeg_of("one")}, {"f", "2", "text"}, {"f", "3", jpeg_of("two")}};
  HttpAsk first = form_post("/v1/classify", files), second = first;
  const std::string boundary = second.headers.at(0).second.substr(second.headers.at(0).second.find("boundary=") + 9);
  const auto replace_all = [&](std::string& text) {
    for (auto at = text.find(boundary); at != std::string::npos; at = text.find(boundary)) {
      text.replace(at, boundary.size(), std::string(boundary.size(), 'B'));
    }
  };
  replace_all(second.headers.at(0).second);
  replace_all(second.body);
  const json one = json::parse(node.ask(async(keyed(first, "k"))).body);
  const json two = json::parse(node.ask(async(keyed(second, "k"))).body);
  ASSERT_EQ(one["jobs"].size(), 3U);
  EXPECT_EQ(one["jobs"][0], two["jobs"][0]);
  EXPECT_EQ(two["jobs"][1]["error"]["code"], "unsupported_format");
  EXPECT_EQ(one["jobs"][2], two["jobs"][2]);
  backend.take(2);
  EXPECT_EQ(backend.requests.depth()->visible, 0U);
}

TEST(Idempotency, TwoAtOnceGetTheSameAnswer) {
  Backend backend;
  WebNode node(backend);
  auto first = node.ask_later(keyed(image("cat"), "k")), second = node.ask_later(keyed(image("cat"), "k"));
  ASSERT_TRUE(eventually([&] { return node.metric("imgrec_web_waiting_clients") == 2; }));
  const JobRequest request = backend.take(1).at(0);
  backend.store_and_respond(answer_of(request, backend.image_of(request)));
  const HttpReply one = first.get(), two = second.get();
  EXPECT_EQ(one.status, 200);
  EXPECT_EQ(one.body, two.body);
  EXPECT_EQ(backend.requests.depth()->visible, 0U);
}

// The node that claimed the key died before it stored the image: whoever comes later does that, under the same id.
TEST(Idempotency, WhatTheFirstNeverStoredTheNextStores) {
  Backend backend;
  WebNode node(backend);
  const std::string location = node.ask(async(keyed(image("cat"), "k"))).header("location");
  const JobRequest request = backend.take(1).at(0);
  ASSERT_TRUE(backend.inputs.remove({&request.input.key, 1}));
  WebNode next(backend);
  ASSERT_TRUE(eventually([&] {
    EXPECT_EQ(next.ask(async(keyed(image("cat"), "k"))).header("location"), location);
    return !backend.inputs.keys().empty();
  }));
  const JobRequest again = backend.take(1).at(0);
  EXPECT_EQ(again.job, request.job);
  EXPECT_EQ(backend.image_of(again), jpeg_of("cat"));
}

TEST(Idempotency, AStoreThatFailsIsNoClaim) {
  Backend backend;
  WebNode node(backend);
  backend.outputs.faults.fail_next(StoreCall::put);
  const HttpReply reply = node.ask(async(keyed(image("cat"), "k")));
  EXPECT_EQ(reply.status, 503);
  EXPECT_TRUE(json::parse(reply.body)["retryable"]);
  EXPECT_EQ(node.ask(async(keyed(image("cat"), "k"))).status, 202);
  backend.take(1);
}

class IdempotencyClaim : public testing::Test {
 protected:
  IdempotencyRecord record(const std::string& digest) {
    return {.digest = digest, .jobs = {make_job_id(clock.wall_now(), rng)}, .at = clock.wall_now()};
  }
  test::FakeClock clock;
  test::SeededRng rng;
  test::MemoryStore store{clock};
  Idempotency keys{{.store = store, .clock = clock}};
  const OwnerId owner = make_owner_id(SessionId("s"));
};

TEST_F(IdempotencyClaim, EndsAfterADay) {
  const IdempotencyRecord first = record("a"), later = record("b");
  EXPECT_TRUE(keys.claim(owner, "k", first)->is_new);
  EXPECT_EQ(keys.claim(owner, "k", record("a"))->record, first);
  clock.advance(kIdempotencyKept - 1ms);
  EXPECT_EQ(keys.claim(owner, "k", later).error().code, "idempotency_key_reused");
  clock.advance(1ms);
  EXPECT_TRUE(keys.claim(owner, "k", later)->is_new);
}

TEST_F(IdempotencyClaim, AClaimWhoseAnswerWasLostIsStillOnesOwn) {
  const IdempotencyRecord mine = record("a");
  ASSERT_TRUE(keys.claim(owner, "k", mine)->is_new);
  EXPECT_TRUE(keys.claim(owner, "k", mine)->is_new);
}

TEST_F(IdempotencyClaim, ARecordThatCannotBeReadIsReplaced) {
  ASSERT_TRUE(keys.claim(owner, "k", record("a"))->is_new);
  for (const char* bad : {"", "{}", R"({"v":1,"digest":"a","at":"2026-01-01T00:00:00.000Z","jobs":["../x"]})"}) {
    ASSERT_TRUE(store.put(store.keys().at(0), bad, {}));
    EXPECT_TRUE(keys.claim(owner, "k", record("b"))->is_new) << bad;
  }
}

}  // namespace
}  // namespace imgrec::idempotency_test
