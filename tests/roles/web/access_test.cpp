// Keys, roles, limits, CORS and TLS of a running web node.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "lib/job/service_status.hpp"
#include "roles/web/access/keys.hpp"
#include "tests/roles/web/web_node.hpp"

namespace imgrec::access_test {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

struct TestKey {
  AccessKey entry;
  std::string key;
};

TestKey new_key(const std::string& roles, double per_second = 0, std::uint64_t per_day = 0) {
  AccessKey wanted{.id = "", .name = "for " + roles, .roles = parse_roles(roles).value()};
  wanted.images_per_second = per_second;
  wanted.images_per_day = per_day;
  NewKey made = make_key(wanted, system_rng());
  return {std::move(made.entry), made.key.reveal()};
}

/// Puts the keys where web nodes with Backend::outputs look for them.
void set_keys(test::Backend& backend, const std::vector<AccessKey>& keys) {
  ASSERT_TRUE(backend.outputs.put(ObjectKey("access/keys.json"), to_json(keys), {}));
}

test::HttpAsk get_with(const std::string& target, const std::string& key) {
  return {.method = "GET", .target = target, .headers = {{"Authorization", "Bearer " + key}}, .body = {}};
}

test::HttpAsk photo_with(const std::string& key, const std::string& content = "cat") {
  return {.method = "POST", .target = "/v1/classify", .headers = {{"X-Api-Key", key}}, .body = test::jpeg_of(content)};
}

std::string code_of(const test::HttpReply& reply) {
  const auto json = nlohmann::json::parse(reply.body, nullptr, false);
  return json.is_object() ? json.value("code", "") : "";
}

class WebAccess : public testing::Test {
 protected:
  WebAccess() { set_keys(backend_, {submit_.entry, read_.entry, admin_.entry}); }
  test::Backend backend_;
  const TestKey submit_ = new_key("submit"), read_ = new_key("read"), admin_ = new_key("admin");
};

WebSettings asking_for_keys(const std::function<void(WebConfig&)>& change = [](WebConfig&) {}) {
  WebSettings settings = test::WebNode::default_settings();
  settings.web.keys_file = "store";
  change(settings.web);
  return settings;
}

TEST_F(WebAccess, WithoutAKeyOnlyWhatIsOpenIsAnswered) {
  test::WebNode node(backend_, asking_for_keys());
  for (const char* open : {"/", "/app.js", "/healthz", "/readyz"}) EXPECT_EQ(node.get(open).status, 200) << open;
  for (const char* closed : {"/metrics", "/results", "/v1/jobs/01M8CGPRX23WA1402P0Y3VSN6B"}) {
    const auto reply = node.get(closed);
    EXPECT_EQ(reply.status, 401) << closed;
    EXPECT_EQ(reply.header("www-authenticate"), "Bearer realm=\"imgrec\"");
    EXPECT_EQ(code_of(reply), "key_needed");
  }
  const auto wrong = node.ask(photo_with("imgrec_guess"));
  EXPECT_EQ(wrong.status, 401);
  EXPECT_EQ(code_of(wrong), "bad_key");
  EXPECT_THAT(wrong.header("www-authenticate"), HasSubstr("invalid_token"));
  EXPECT_THAT(wrong.body, Not(HasSubstr("guess")));
  EXPECT_TRUE(backend_.inputs.keys().empty());
}

TEST_F(WebAccess, RolesAllowWhatTheyAreFor) {
  test::FakeWorker worker(backend_);
  test::WebNode node(backend_, asking_for_keys());
  EXPECT_EQ(node.ask(photo_with(submit_.key)).status, 200);
  EXPECT_EQ(node.ask(photo_with(admin_.key)).status, 200);
  EXPECT_EQ(node.ask(get_with("/metrics", read_.key)).status, 200);
  const auto scrape = node.ask(get_with("/metrics", submit_.key));
  EXPECT_EQ(scrape.status, 403);
  EXPECT_EQ(code_of(scrape), "role_needed");
  EXPECT_THAT(scrape.body, HasSubstr("read or admin"));
  EXPECT_EQ(node.ask(photo_with(read_.key)).status, 403);
}

TEST_F(WebAccess, AKeyThatSubmitsHearsOfItsOwnJobsAndOneThatReadsOfTheService) {
  test::FakeWorker worker(backend_);
  const TestKey other = new_key("submit");
  set_keys(backend_, {submit_.entry, other.entry, read_.entry});
  ServiceStatus status{.at = system_clock().wall_now(), .controller = "c", .policy = "depth"};
  ASSERT_TRUE(backend_.outputs.put(service_status_key(), to_json(status), {}));
  test::WebNode node(backend_, asking_for_keys());
  EXPECT_EQ(node.get("/v1/events").status, 401);
  auto mine = node.ask_later(get_with("/v1/events", submit_.key));
  auto theirs = node.ask_later(get_with("/v1/events", other.key));
  auto service = node.ask_later(get_with("/v1/events", read_.key));
  ASSERT_TRUE(test::eventually([&] {
    return node.ask(get_with("/metrics", read_.key)).body.find("imgrec_web_event_readers 3") != std::string::npos;
  }));
  ASSERT_EQ(node.ask(photo_with(submit_.key)).status, 200);
  EXPECT_TRUE(node.stop());
  const std::string told = mine.get().body;
  EXPECT_THAT(told, HasSubstr("\"state\":\"done\""));
  const std::string told_others = theirs.get().body;
  EXPECT_THAT(told_others, Not(HasSubstr("event: job")));
  for (const std::string& text : {told, told_others}) {
    EXPECT_THAT(text, HasSubstr("event: snapshot"));
    EXPECT_THAT(text, Not(HasSubstr("\"machines\""))) << text;
    EXPECT_THAT(text, Not(HasSubstr("event: status"))) << text;
  }
  const std::string of_service = service.get().body;
  EXPECT_THAT(of_service, HasSubstr("\"fleet\""));
  EXPECT_THAT(of_service, Not(HasSubstr("event: job")));
}

TEST_F(WebAccess, TheCompatibilityRoutesAnswerInText) {
  test::FakeWorker worker(backend_);
  test::WebNode node(backend_, asking_for_keys());
  auto ask = test::form_post("/", {{"inputFile", "a.JPEG", test::jpeg_of("cat")}});
  const auto refused = node.ask(ask);
  EXPECT_EQ(refused.status, 401);
  EXPECT_THAT(refused.header("content-type"), StartsWith("text/plain"));
  ask.headers.emplace_back("X-Api-Key", submit_.key);
  EXPECT_EQ(node.ask(ask).body, "a:cat");
}

TEST_F(WebAccess, MetricsCanBeOpen) {
  test::WebNode node(backend_, asking_for_keys([](WebConfig& web) { web.open_metrics = true; }));
  EXPECT_EQ(node.get("/metrics").status, 200);
  EXPECT_EQ(node.get("/results").status, 401);
}

TEST_F(WebAccess, ARevokedKeyEndsOnEveryNodeAndANewOneBegins) {
  test::WebNode first(backend_, asking_for_keys()), second(backend_, asking_for_keys());
  EXPECT_EQ(first.ask(get_with("/results", submit_.key)).status, 200);
  EXPECT_EQ(second.ask(get_with("/results", submit_.key)).status, 200);
  const TestKey late = new_key("submit");
  set_keys(backend_, {read_.entry, late.entry});
  const MonoTime revoked = system_clock().mono_now();
  for (test::WebNode* node : {&first, &second}) {
    EXPECT_TRUE(test::eventually([&] { return node->ask(get_with("/results", submit_.key)).status == 401; }));
    EXPECT_EQ(node->ask(get_with("/results", late.key)).status, 200);
  }
  EXPECT_LT(system_clock().mono_now() - revoked, Seconds(5));
}

TEST_F(WebAccess, ANodeWithoutOrWithBrokenKeysDoesNotStart) {
  ASSERT_TRUE(backend_.outputs.put(ObjectKey("access/keys.json"), "{", {}));
  EXPECT_EQ(test::WebNode(backend_, asking_for_keys()).stop().error().code, "bad_keys");
  ASSERT_TRUE(backend_.outputs.remove(std::vector{ObjectKey("access/keys.json")}));
  EXPECT_EQ(test::WebNode(backend_, asking_for_keys()).stop().error().code, "no_keys");
}

TEST_F(WebAccess, ResultsAreTheKeysOwn) {
  test::FakeWorker worker(backend_);
  const TestKey other = new_key("submit");
  set_keys(backend_, {submit_.entry, other.entry});
  test::WebNode node(backend_, asking_for_keys());
  auto mine = photo_with(submit_.key), theirs = photo_with(other.key);
  for (auto* ask : {&mine, &theirs}) ask->headers.emplace_back("X-Session-Id", "shared");
  mine.target += "?name=mine";
  theirs.target += "?name=theirs";
  ASSERT_EQ(node.ask(mine).status, 200);
  ASSERT_EQ(node.ask(theirs).status, 200);
  auto list = get_with("/results", submit_.key);
  EXPECT_EQ(node.ask(list).body, "{}\n") << "another session of the same key";
  list.headers.emplace_back("X-Session-Id", "shared");
  EXPECT_EQ(node.ask(list).body, "{\"mine\":\"cat\"}\n");
}

TEST_F(WebAccess, ARateIsImagesNotRequests) {
  const TestKey slow = new_key("submit", 0.001), daily = new_key("submit", 0, 3);
  set_keys(backend_, {slow.entry, daily.entry});
  test::FakeWorker worker(backend_);
  test::WebNode node(backend_, asking_for_keys());
  const auto first = node.ask(photo_with(slow.key));
  EXPECT_EQ(first.status, 200);
  EXPECT_EQ(first.header("ratelimit-policy"), "\"rate\";q=1;w=1000");
  EXPECT_EQ(first.header("ratelimit"), "\"rate\";r=0;t=1000");
  const auto refused = node.ask(photo_with(slow.key));
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(code_of(refused), "rate_exceeded");
  EXPECT_THAT(std::stoi(refused.header("retry-after")), testing::AllOf(testing::Gt(900), testing::Le(1'000)));

  auto form = test::form_post("/v1/classify", {{"f", "a", test::jpeg_of("a")}, {"f", "b", test::jpeg_of("b")}});
  form.headers.emplace_back("X-Api-Key", daily.key);
  EXPECT_EQ(node.ask(form).status, 200);
  const auto too_many = node.ask(form);
  EXPECT_EQ(too_many.status, 429);
  EXPECT_EQ(code_of(too_many), "quota_exceeded");
  EXPECT_THAT(too_many.header("ratelimit"), StartsWith("\"day\";r=1;t="));
  const auto last = node.ask(photo_with(daily.key));
  EXPECT_EQ(last.status, 200);
  EXPECT_THAT(last.header("ratelimit-policy"), "\"day\";q=3;w=86400");
  auto held = test::form_post("/", {{"myfile", "a", test::jpeg_of("a")}});
  held.headers.emplace_back("X-Api-Key", daily.key);
  const auto text = node.ask(held);
  EXPECT_EQ(text.status, 429);
  EXPECT_THAT(text.header("content-type"), StartsWith("text/plain"));
  EXPECT_NE(text.header("retry-after"), "");
}

TEST_F(WebAccess, AnImageThatIsRefusedAtTheDoorCostsNothing) {
  const TestKey daily = new_key("submit", 0, 1);
  set_keys(backend_, {daily.entry});
  test::FakeWorker worker(backend_);
  test::WebNode node(backend_, asking_for_keys());
  auto text = photo_with(daily.key);
  text.body = "no image";
  EXPECT_EQ(node.ask(text).status, 415);
  EXPECT_EQ(node.ask(photo_with(daily.key)).status, 200);
}

TEST_F(WebAccess, ThePageSignsInWithACookieThatCountsForItAlone) {
  test::WebNode node(backend_, asking_for_keys());
  EXPECT_EQ(node.ask({.method = "POST", .target = "/v1/sign-in", .headers = {}, .body = {}}).status, 401);
  const auto signed_in =
      node.ask({.method = "POST", .target = "/v1/sign-in", .headers = {{"X-Api-Key", submit_.key}}, .body = {}});
  EXPECT_EQ(signed_in.status, 200);
  EXPECT_EQ(nlohmann::json::parse(signed_in.body)["roles"], "submit");
  EXPECT_EQ(signed_in.header("set-cookie"), "imgrec_key=" + submit_.key + "; Path=/; HttpOnly; SameSite=Strict");
  const auto list = [&](const std::string& origin) {
    test::HttpAsk ask{
        .method = "GET", .target = "/results", .headers = {{"Cookie", "imgrec_key=" + submit_.key}}, .body = {}};
    if (!origin.empty()) ask.headers.emplace_back("Origin", origin);
    return node.ask(ask).status;
  };
  EXPECT_EQ(list(""), 200);
  EXPECT_EQ(list("https://other.example"), 401);
  const auto out = node.ask({.method = "POST", .target = "/v1/sign-out", .headers = {}, .body = {}});
  EXPECT_EQ(out.status, 204);
  EXPECT_THAT(out.header("set-cookie"), HasSubstr("imgrec_key=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0"));
}

TEST_F(WebAccess, SigningInWhereNoKeyIsNeededIsNoError) {
  test::WebNode node(backend_);
  const auto reply = node.ask({.method = "POST", .target = "/v1/sign-in", .headers = {}, .body = {}});
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.body, "{\"keys_needed\":false}\n");
  EXPECT_EQ(reply.header("set-cookie"), "");
}

TEST_F(WebAccess, HostileHeadersAreNoKeys) {
  test::WebNode node(backend_, asking_for_keys());
  const std::string zeros = "imgrec_" + submit_.entry.id + "_" + std::string(64, '0');
  for (const std::string& value :
       {std::string(), std::string("Bearer"), std::string("Bearer "), "Bearer " + std::string(8'000, 'x'),
        "Bearer " + zeros, std::string("Bearer \xFF\xFE"), "Basic " + submit_.key, "Bearer " + submit_.key + " x"}) {
    const auto reply =
        node.ask({.method = "GET", .target = "/results", .headers = {{"Authorization", value}}, .body = {}});
    EXPECT_EQ(reply.status, 401) << value.substr(0, 100);
  }
  EXPECT_EQ(node.get("/results?key=" + submit_.key).status, 401) << "a URL is no place for a key: logs have it";
}

TEST_F(WebAccess, PagesOfListedSitesMayAskAndReadAndNoOthers) {
  test::FakeWorker worker(backend_);
  test::WebNode node(backend_, asking_for_keys([](WebConfig& web) { web.cors_origins = "https://app.example"; }));
  const auto preflight = [&](const std::string& origin) {
    return node.ask({.method = "OPTIONS",
                     .target = "/v1/classify",
                     .headers = {{"Origin", origin}, {"Access-Control-Request-Method", "POST"}},
                     .body = {}});
  };
  const auto allowed = preflight("https://app.example");
  EXPECT_EQ(allowed.status, 204);
  EXPECT_EQ(allowed.header("access-control-allow-origin"), "https://app.example");
  EXPECT_THAT(allowed.header("access-control-allow-methods"), HasSubstr("POST"));
  EXPECT_THAT(allowed.header("access-control-allow-headers"), HasSubstr("X-Api-Key"));
  EXPECT_EQ(allowed.header("access-control-allow-credentials"), "");
  const auto refused = preflight("https://other.example");
  EXPECT_EQ(refused.header("access-control-allow-origin"), "");
  EXPECT_EQ(refused.header("access-control-allow-methods"), "");

  auto photo = photo_with(submit_.key);
  photo.headers.emplace_back("Origin", "https://app.example");
  photo.headers.emplace_back("Sec-Fetch-Site", "cross-site");
  const auto answer = node.ask(photo);
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.header("access-control-allow-origin"), "https://app.example");
  EXPECT_EQ(answer.header("vary"), "Origin");
  photo.headers[1].second = "https://other.example";
  EXPECT_EQ(node.ask(photo).status, 403);
  photo.headers[1].second = "https://app.example";
  photo.headers[0].second = "wrong";
  const auto error = node.ask(photo);
  EXPECT_EQ(error.status, 401);
  EXPECT_EQ(error.header("access-control-allow-origin"), "https://app.example") << "the page can read why";
}

TEST_F(WebAccess, WithoutKeysNobodyIsAskedForOne) {
  test::FakeWorker worker(backend_);
  test::WebNode node(backend_);
  EXPECT_EQ(node.ask(photo_with("whatever")).status, 200);
  EXPECT_EQ(node.get("/metrics").status, 200);
}

}  // namespace
}  // namespace imgrec::access_test
