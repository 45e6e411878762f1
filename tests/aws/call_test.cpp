#include "aws/client/call.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "lib/base/file.hpp"
#include "tests/aws/support.hpp"
#include "tests/support/shared_data.hpp"

namespace imgrec::aws::call_test {
namespace {

using imgrec::test::unpacked_testdata;
using nlohmann::json;
using test::FixedRng;
using test::JumpClock;
using test::ScriptedHttp;
using test::sent_header;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;

constexpr std::uint64_t kAlmostOne = ~0ULL;

class CallTest : public testing::Test {
 protected:
  CallRequest request() const {
    CallRequest out;
    out.name = {"sqs", "SendMessage"};
    out.endpoint = {"https", "sqs.us-east-1.amazonaws.com", "", "us-east-1"};
    out.headers = {{"Content-Type", "application/x-amz-json-1.0"}};
    out.body = R"({"MessageBody":"a secret body"})";
    return out;
  }
  CallResult call(const CallRequest& what, Millis deadline = Millis(60'000)) {
    return caller.call(what, Deadline::in(clock, deadline), {});
  }
  CallResult call() { return call(request()); }

  JumpClock clock;
  FixedRng rng{kAlmostOne};
  ScriptedHttp http;
  FixedCredentials credentials{test::test_keys()};
  Caller caller{{.service = "sqs", .retry = {}}, http, &credentials, clock, rng};
};

TEST_F(CallTest, SignsAndSends) {
  http.then(200, "{}");
  const auto got = call();
  ASSERT_TRUE(got);
  EXPECT_EQ(got->body, "{}");
  const HttpClientRequest& sent = http.requests().at(0);
  EXPECT_EQ(sent.url, "https://sqs.us-east-1.amazonaws.com/");
  EXPECT_EQ(sent.body, request().body);
  EXPECT_EQ(sent_header(sent, "X-Amz-Date"), "20260101T000000Z");
  EXPECT_THAT(
      sent_header(sent, "Authorization"),
      MatchesRegex(
          "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/us-east-1/sqs/aws4_request, "
          "SignedHeaders=amz-sdk-invocation-id;amz-sdk-request;content-type;host;x-amz-date, Signature=[0-9a-f]+"));
  EXPECT_THAT(sent_header(sent, "amz-sdk-invocation-id"),
              MatchesRegex("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"));
  EXPECT_EQ(sent_header(sent, "amz-sdk-request"), "attempt=1; max=3");
}

TEST_F(CallTest, RetriesTransientErrorsWithOneInvocationId) {
  http.then(503);
  http.then_fail("connection_lost");
  http.then(200);
  ASSERT_TRUE(call());
  EXPECT_THAT(clock.sleeps(), ElementsAre(Millis(50), Millis(100)));
  EXPECT_EQ(sent_header(http.requests()[2], "amz-sdk-request"), "attempt=3; max=3");
  EXPECT_EQ(sent_header(http.requests()[0], "amz-sdk-invocation-id"),
            sent_header(http.requests()[2], "amz-sdk-invocation-id"));
  EXPECT_EQ(caller.retry_quota(), 500 - 14);  // the last retry's 14 came back
}

TEST_F(CallTest, GivesUpAfterThreeAttempts) {
  for (int i = 0; i < 3; ++i)
    http.then(503, R"({"__type":"ServiceUnavailable","message":"Later."})", {{"x-amzn-requestid", "r-9"}});
  const auto got = call();
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().error.kind, ErrorKind::transient);
  EXPECT_EQ(got.error().aws_code, "ServiceUnavailable");
  EXPECT_THAT(got.error().error.message,
              HasSubstr("SQS SendMessage failed: ServiceUnavailable: Later. (request id r-9)"));
  EXPECT_EQ(caller.retry_quota(), 500 - 28);
}

TEST_F(CallTest, ThrottlingWaitsLongerAndHonoursRetryAfter) {
  http.then(400, R"({"__type":"ThrottlingException"})");
  http.then(400, R"({"__type":"ThrottlingException"})", {{"x-amz-retry-after", "3500"}});
  http.then(200);
  ASSERT_TRUE(call());
  EXPECT_THAT(clock.sleeps(), ElementsAre(Millis(1000), Millis(3500)));
  EXPECT_EQ(caller.retry_quota(), 500 - 5);
}

TEST_F(CallTest, RefusalsAreNotRetried) {
  http.then(403, R"({"__type":"AccessDenied","message":"No."})");
  const auto got = call();
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().error.kind, ErrorKind::denied);
  EXPECT_TRUE(clock.sleeps().empty());
}

TEST_F(CallTest, NoRetryThatWouldPassTheDeadline) {
  http.then(400, R"({"__type":"ThrottlingException"})");
  const auto got = call(request(), Millis(900));
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().error.kind, ErrorKind::throttled);
  EXPECT_TRUE(clock.sleeps().empty());
  EXPECT_EQ(http.requests()[0].timeout, Millis(900));
  const auto late = call(request(), Millis(0));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().error.code, "timeout");
}

TEST_F(CallTest, WhatMayHaveHappenedIsRepeatedOnlyWhereThatIsHarmless) {
  CallRequest once = request();
  once.idempotent = false;
  http.then_fail("connection_lost");
  EXPECT_FALSE(call(once));
  http.then(502);
  EXPECT_FALSE(call(once));
  EXPECT_EQ(http.requests().size(), 2u);
  http.then_fail("connection_failed");
  http.then(400, R"({"__type":"ThrottlingException"})");
  http.then(200);
  EXPECT_TRUE(call(once));
}

TEST_F(CallTest, AnEmptyQuotaFailsAtOnceButALongPollStillWaits) {
  for (int i = 0; i < 18; ++i) {
    for (int attempt = 0; attempt < 3; ++attempt) {
      if (i < 17 || attempt < 2) http.then(503);
    }
    EXPECT_FALSE(call());
  }
  EXPECT_EQ(caller.retry_quota(), 500 - 35 * 14);
  EXPECT_EQ(http.left(), 0u);
  const std::size_t sleeps = clock.sleeps().size();
  http.then(503);
  EXPECT_FALSE(call());
  EXPECT_EQ(clock.sleeps().size(), sleeps);
  CallRequest poll = request();
  poll.long_poll = true;
  http.then(503);
  EXPECT_FALSE(call(poll));
  EXPECT_EQ(clock.sleeps().size(), sleeps + 1);
}

TEST_F(CallTest, AStopEndsIt) {
  std::stop_source stop;
  http.then([&](const HttpClientRequest&) -> Result<HttpClientResponse> {
    stop.request_stop();
    return fail(ErrorKind::cancelled, "cancelled", "stopped");
  });
  const auto got = caller.call(request(), Deadline::in(clock, Millis(1000)), stop.get_token());
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().error.kind, ErrorKind::cancelled);
}

TEST_F(CallTest, ErrorsHoldNeitherBodiesNorSecrets) {
  for (int i = 0; i < 3; ++i) http.then(500, "a secret body of the answer");
  const auto got = call();
  ASSERT_FALSE(got);
  EXPECT_THAT(got.error().error.message, Not(HasSubstr("secret")));
  EXPECT_THAT(got.error().error.message, Not(HasSubstr("wJalr")));
}

class RenewingCredentials final : public CredentialsProvider {
 public:
  Result<Credentials> get(std::stop_token) override {
    Credentials keys = test::test_keys();
    keys.access_key_id = "AKID" + std::to_string(invalidated);
    return keys;
  }
  void invalidate(const Credentials&) override { ++invalidated; }
  int invalidated = 0;
};

TEST_F(CallTest, RenewsExpiredCredentialsOnce) {
  RenewingCredentials renewing;
  Caller renewed({.service = "sqs", .retry = {}}, http, &renewing, clock, rng);
  http.then(403, R"({"__type":"ExpiredTokenException"})");
  http.then(200);
  EXPECT_TRUE(renewed.call(request(), Deadline::in(clock, Millis(1000)), {}));
  EXPECT_THAT(sent_header(http.requests()[1], "Authorization"), HasSubstr("Credential=AKID1/"));
  http.then(403, R"({"__type":"ExpiredTokenException"})");
  http.then(403, R"({"__type":"ExpiredTokenException"})");
  EXPECT_FALSE(renewed.call(request(), Deadline::in(clock, Millis(1000)), {}));
  EXPECT_TRUE(clock.sleeps().empty());
}

std::string amz_date(const std::string& rfc3339) {
  std::string out;
  for (const char c : rfc3339) {
    if (c != '-' && c != ':') out += c;
  }
  return out;
}

TEST(ClockSkew, PassesTheSharedCases) {
  IMGREC_NEED_SHARED(suite, unpacked_testdata("clock-skew"));
  const json document = json::parse(*read_file(suite / "clock-skew-test-cases.json", kMiB));
  int cases = 0;
  for (const json& one : document.at("tests")) {
    SCOPED_TRACE(one.at("description").get<std::string>());
    ++cases;
    Millis skew{0};
    for (const json& operation : one.at("operations")) {
      skew = Seconds(operation.at("initialClientSkew").get<int>());
      JumpClock clock;
      ScriptedHttp http;
      FixedRng rng(0);
      FixedCredentials credentials{test::test_keys()};
      RetryOptions retry;
      retry.attempts_max = operation.value("maxAttempts", 3);
      Caller caller({.service = "sqs", .retry = retry, .initial_clock_skew = skew}, http, &credentials, clock, rng);
      clock.set_wall(*parse_rfc3339(operation["attempts"][0]["clientTimeAtSend"].get<std::string>()));
      for (const json& attempt : operation.at("attempts")) {
        http.then([&clock, &attempt](const HttpClientRequest& sent) -> Result<HttpClientResponse> {
          EXPECT_EQ(clock.wall_now(), *parse_rfc3339(attempt["clientTimeAtSend"].get<std::string>()));
          EXPECT_EQ(sent_header(sent, "X-Amz-Date"), amz_date(attempt["expectedSigningTime"]));
          clock.set_wall(*parse_rfc3339(attempt["clientTimeAtReceive"].get<std::string>()));
          HttpClientResponse response;
          response.status = attempt["response"]["statusCode"];
          for (const auto& [name, value] : attempt["response"]["headers"].items()) {
            response.headers.emplace_back(name == "Date" ? "date" : "age", value);
          }
          if (attempt["response"].contains("errorCode"))
            response.body = json{{"__type", attempt["response"]["errorCode"]}}.dump();
          return response;
        });
      }
      CallRequest request;
      request.name = {"sqs", "Operation"};
      request.endpoint = {"https", "h", "", "us-east-1"};
      const bool succeeded = caller.call(request, Deadline::in(clock, Millis(60'000)), {}).has_value();
      EXPECT_EQ(succeeded, operation.at("expectedOutcome") == "success");
      EXPECT_EQ(http.left(), 0u);
      EXPECT_EQ(caller.clock_skew(), Millis(Seconds(operation.at("expectedClientSkew").get<int>())));
    }
  }
  EXPECT_EQ(cases, 10);
}

TEST(ClockSkew, HttpDates) {
  EXPECT_EQ(parse_http_date("Thu, 01 Jan 2026 00:05:01 GMT"), *parse_rfc3339("2026-01-01T00:05:01Z"));
  for (const char* bad :
       {"", "Thu, 01 Jan 2026 00:05:01 CET", "Thu, 32 Jan 2026 00:05:01 GMT", "Thu, 01 anF 2026 00:05:01 GMT",
        "Thu, 01 Jan 2026 24:05:01 GMT", "Thu, -1 Jan 2026 00:05:01 GMT", "Thursday, 01-Jan-26 00:05:01 GMT"}) {
    EXPECT_FALSE(parse_http_date(bad)) << bad;
  }
}

}  // namespace
}  // namespace imgrec::aws::call_test
