// What is sent, what is read from answers, and the right labels.
#include <gmock/gmock.h>

#include "lib/base/clock.hpp"
#include "lib/http/load/target.hpp"
#include "roles/load/answers.hpp"
#include "roles/load/predictions.hpp"
#include "roles/load/requests.hpp"
#include "roles/load/service_watch.hpp"

namespace imgrec::load::messages_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

const std::vector<LoadImage> kImages = {{"a \"1\".jpg", "AAAA", ""}, {"b.jpg", "BB", ""}, {"c.jpg", "C", ""}};

LoadPlan plan(Dialect dialect, const char* url = "http://h:8000") {
  return {.target = *parse_target(url), .dialect = dialect};
}

std::string body_of(const Exchange& exchange) {
  std::string body;
  for (const ByteView piece : exchange.body) body += piece;
  return body;
}

std::vector<ImageAnswer> answers(Dialect dialect, int status, std::string_view body, std::size_t count = 1,
                                 std::string_view headers = "") {
  AnswerReader reader(dialect);
  std::vector<ImageAnswer> read;
  reader.read({.status = status, .headers = headers, .body = body}, count, read);
  return read;
}

TEST(LoadRequests, OfV1AreTheBytesThemselves) {
  LoadPlan v1 = plan(Dialect::v1);
  v1.api_key = Secret("k");
  const RequestMaker maker(v1, kImages);
  const Exchange exchange = maker.make(9, 3, 1);  // in a circle
  EXPECT_EQ(exchange.tag, 9U);
  EXPECT_THAT(exchange.head, StartsWith("POST /v1/classify?name=a%20%221%22.jpg HTTP/1.1\r\nHost: h:8000\r\n"));
  EXPECT_THAT(exchange.head, HasSubstr("\r\nAuthorization: Bearer k\r\n"));
  EXPECT_THAT(exchange.head, HasSubstr("\r\nContent-Length: 4\r\n\r\n"));
  EXPECT_EQ(body_of(exchange), "AAAA");
  EXPECT_THAT(maker.poll(1, "/v1/jobs/x").head, StartsWith("GET /v1/jobs/x HTTP/1.1\r\nHost: h:8000\r\n"));
}

TEST(LoadRequests, OfTheOtherDialectsAreForms) {
  const LoadPlan old = plan(Dialect::y2021, "http://h:8000/x.php");
  const RequestMaker maker(old, kImages);
  const Exchange exchange = maker.make(0, 0, 1);
  EXPECT_THAT(exchange.head, StartsWith("POST /x.php HTTP/1.1\r\n"));
  const std::string body = body_of(exchange);
  EXPECT_THAT(exchange.head, HasSubstr("Content-Length: " + std::to_string(body.size()) + "\r\n\r\n"));
  const std::size_t at = exchange.head.find("boundary=") + 9;
  const std::string boundary = exchange.head.substr(at, exchange.head.find("\r\n", at) - at);
  EXPECT_EQ(body, "--" + boundary +
                      "\r\nContent-Disposition: form-data; name=\"myfile\"; filename=\"a %221%22.jpg\"\r\n"
                      "Content-Type: application/octet-stream\r\n\r\nAAAA\r\n--" +
                      boundary + "--\r\n");
  const LoadPlan newer = plan(Dialect::y2026);
  const RequestMaker newer_maker(newer, kImages);
  EXPECT_THAT(body_of(newer_maker.make(0, 0, 1)), HasSubstr("name=\"inputFile\""));
}

TEST(LoadRequests, ABatchIsOneForm) {
  LoadPlan v1 = plan(Dialect::v1);
  v1.batch = 2;
  v1.async = true;
  const RequestMaker maker(v1, kImages);
  const Exchange exchange = maker.make(0, 2, 2);
  EXPECT_THAT(exchange.head, StartsWith("POST /v1/classify HTTP/1.1\r\n"));
  EXPECT_THAT(exchange.head, HasSubstr("\r\nPrefer: respond-async\r\n"));
  EXPECT_THAT(body_of(exchange),
              testing::AllOf(HasSubstr("filename=\"c.jpg\""), HasSubstr("filename=\"a %221%22.jpg\""),
                             testing::Not(HasSubstr("b.jpg"))));
}

TEST(LoadAnswers, OfV1) {
  const auto one = answers(Dialect::v1, 200, R"({"v":1,"labels":[{"label":"cat"},{"label":"dog"}]})");
  ASSERT_EQ(one.size(), 1U);
  EXPECT_EQ(one[0].label, "cat");
  EXPECT_EQ(one[0].error, "");
  const auto pending = answers(Dialect::v1, 202, R"({"job":"x","status":"pending","location":"/v1/jobs/x"})");
  EXPECT_EQ(pending[0].location, "/v1/jobs/x");
  const auto several = answers(Dialect::v1, 200,
                               R"({"results":[{"labels":[{"label":"cat"}]},{"error":{"code":"image_truncated"}}]})", 2);
  ASSERT_EQ(several.size(), 2U);
  EXPECT_EQ(several[0].label, "cat");
  EXPECT_EQ(several[1].error, "image_truncated");
}

TEST(LoadAnswers, ErrorsHaveTheirStatusAndCode) {
  constexpr const char* kProblem = "Content-Type: application/problem+json\r\n";
  EXPECT_EQ(answers(Dialect::v1, 503, R"({"code":"overloaded"})", 2, kProblem)[1].error, "http_503 overloaded");
  EXPECT_EQ(answers(Dialect::y2021, 504, "nobody answered")[0].error, "http_504");
  EXPECT_EQ(answers(Dialect::y2026, 202, "{}")[0].error, "http_202") << "a form waits for its label";
  for (const char* body :
       {"", "[]", "{}", "cat", R"({"location":"//x y"})", R"({"location":"http://else/"})", R"({"results":[]})"}) {
    EXPECT_EQ(answers(Dialect::v1, 200, body)[0].error, "bad_answer") << body;
  }
}

TEST(LoadAnswers, OfTheOtherDialectsAreText) {
  EXPECT_EQ(answers(Dialect::y2021, 200, "cat: tabby\n")[0].label, "cat: tabby");
  EXPECT_EQ(answers(Dialect::y2026, 200, "test_0:cat\n")[0].label, "cat");
  EXPECT_EQ(answers(Dialect::y2026, 200, "cat")[0].error, "bad_answer");
  EXPECT_EQ(answers(Dialect::y2021, 200, " \n")[0].error, "bad_answer");
}

TEST(Predictions, AreFoundByNameOrStem) {
  const auto read =
      Predictions::parse("Image,Results\r\na,cat\r\n\"b\",\"dog, \"\"big\"\"\"\nc.d.jpg, bird ,more\n\n", "p.csv");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->size(), 3U);
  EXPECT_EQ(read->label_of("a.jpg"), "cat");
  EXPECT_EQ(read->label_of("b.x.png"), "dog, \"big\"");
  EXPECT_EQ(read->label_of("c.d.jpg"), "bird");
  EXPECT_EQ(read->label_of("d.jpg"), "");
}

TEST(Predictions, SayWhatIsWrongAndWhere) {
  const auto mistake = [](const char* text) { return Predictions::parse(text, "p.csv").error().message; };
  EXPECT_THAT(mistake("name,label\n"), StartsWith("p.csv:1: "));
  EXPECT_THAT(mistake("Image,Results\na,cat\nb\n"), StartsWith("p.csv:3: "));
  EXPECT_THAT(mistake("Image,Results\na,\"cat\n"), StartsWith("p.csv:2: "));
  EXPECT_THAT(mistake("Image,Results\n"), HasSubstr("no row"));
  EXPECT_FALSE(Predictions::parse("", "p.csv"));
}

TEST(ServiceStatusRead, TakesWhatIsKnown) {
  const auto read = read_service_status(
      R"({"now":"2026-11-22T08:15:30.500Z","queue":{"visible":3,"in_flight":4},"machines":null,)"
      R"("cost":{"machine_seconds":10.5,"dollars":0.5},"decisions":[{"at":"2026-11-22T08:15:20.000Z","wanted":2,)"
      R"("launch":2,"take_back":0,"ask_to_stop":0,"terminate":0,"why":"work"}]})");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->sample.visible, 3);
  EXPECT_FALSE(read->sample.machines()) << "what is not known is not 0";
  EXPECT_EQ(read->sample.dollars, 0.5);
  ASSERT_EQ(read->decisions.size(), 1U);
  EXPECT_DOUBLE_EQ(read->decisions[0].at_s, -10.5);
  EXPECT_EQ(read->decisions[0].launch, 2);
  EXPECT_EQ(to_rfc3339(read->now), "2026-11-22T08:15:30.500Z");
  EXPECT_FALSE(read_service_status("{}"));
  EXPECT_FALSE(read_service_status("cat"));
}

TEST(ServiceSeries, BecomeSamplesOnTheRunsOwnTime) {
  const auto read = read_service_series(
      R"({"resolution":"second","series":{"visible":[[99,7,7],[100,1,1],[102,3,5]],"busy":[[102,2,2]],)"
      R"("machine_seconds":[[102,1800,1800]],"oldest_age_s":[[100,1,1]]}})",
      WallTime(Millis(100'500)), 0.5);
  ASSERT_TRUE(read) << read.error().message;
  ASSERT_EQ(read->size(), 2U) << "what was over a second before the beginning is left out";
  EXPECT_EQ((*read)[0].at_s, 0);
  EXPECT_EQ((*read)[0].visible, 1);
  EXPECT_FALSE((*read)[0].busy);
  EXPECT_DOUBLE_EQ((*read)[1].at_s, 1.5);
  EXPECT_EQ((*read)[1].visible, 3);
  EXPECT_EQ((*read)[1].busy, 2);
  EXPECT_EQ((*read)[1].dollars, 0.25);
  EXPECT_FALSE(read_service_series("[]", {}, {}));
  EXPECT_FALSE(read_service_series("cat", {}, {}));
}

}  // namespace
}  // namespace imgrec::load::messages_test
