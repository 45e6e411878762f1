#include "lib/job/job.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "lib/job/other_version.hpp"
#include "lib/job/tensor.hpp"

namespace imgrec::job_test {
namespace {

JobRequest sample_request() {
  return {.job = JobId("01ARYZ6S41TSV4RRFFQ69G5FAV"),
          .session = SessionId("s-1"),
          .name = "../Ünïcödé \"<script>\"\n.jpg",
          .input = {.bucket = "inputs",
                    .key = ObjectKey("inputs/01ARYZ6S41TSV4RRFFQ69G5FAV"),
                    .bytes = 110'000,
                    .sha256 = "ab"},
          .top_k = 3,
          .reply_to = "imgrec-responses-a",
          .traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
          .submitted_at = WallTime(Millis(1'700'000'000'123)),
          .expires_at = WallTime(Millis(1'700'000'900'123))};
}

JobResult sample_result() {
  return {.job = JobId("01ARYZ6S41TSV4RRFFQ69G5FAV"),
          .session = SessionId("s-1"),
          .name = "camel.jpg",
          .model = {.name = "resnet18", .sha256 = "cd", .engine = "opencv", .precision = "f32"},
          .labels = {{.index = 354, .wnid = "n02437312", .label = "dromedary", .score = 0.75}},
          .error = {},
          .timings = {.queue_ms = 1.5, .fetch_ms = 2, .decode_ms = 3, .preprocess_ms = 4, .infer_ms = 5, .store_ms = 6},
          .worker = WorkerId("w"),
          .app_tier_id = "app-tier-1",
          .completed_at = WallTime(Millis(1'700'000'001'000))};
}

TEST(JobRequest, SurvivesTheWire) {
  EXPECT_EQ(parse_job_request(to_json(sample_request())), sample_request());
  EXPECT_EQ(to_json(sample_request()).find('\n'), std::string::npos);
}

TEST(JobRequest, MayAskForAThumbnailAndItsResultHaveOne) {
  JobRequest request = sample_request();
  request.thumbnail = 240;
  EXPECT_EQ(parse_job_request(to_json(request)), request);
  request.thumbnail = 100'000;  // of a newer web tier: for its worker to decide
  EXPECT_EQ(parse_job_request(to_json(request)), request);
  JobResult result = sample_result();
  result.thumbnail = "/9j/4GNhdA==";
  EXPECT_EQ(parse_job_result(to_json(result)), result);
  EXPECT_EQ(to_json(sample_result()).find("thumbnail"), std::string::npos);
}

TEST(JobRequest, MayReferToAnObject) {
  JobRequest request = sample_request();
  request.object = ObjectReference{.bucket = "photos", .key = ObjectKey("2026/ä \"cat\".jpg"), .version = ""};
  EXPECT_EQ(parse_job_request(to_json(request)), request);
  request.object->version = "3/L4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY+MTRCxf3vjVBH40Nr8X8gdRQBpUMLUo";
  EXPECT_EQ(parse_job_request(to_json(request)), request);
}

TEST(JobResult, SurvivesTheWireWithLabelsOrAnError) {
  EXPECT_EQ(parse_job_result(to_json(sample_result())), sample_result());
  JobResult failed = sample_result();
  failed.labels.clear();
  failed.error =
      JobError{.code = "image_truncated", .title = "The image ends early", .detail = "d", .retryable = false};
  EXPECT_EQ(parse_job_result(to_json(failed)), failed);
}

TEST(JobResult, IsOneWholeJsonDocument) {
  JobResult result = sample_result();
  result.name = "tab\t, quote \", \\, \x01, \x7F and no UTF-8: \xC3";
  result.labels.push_back({.index = 0, .wnid = "", .label = "", .score = 1e-300});
  result.labels.push_back({.index = 1, .wnid = "", .label = "x", .score = 1});
  const auto document = nlohmann::json::parse(to_json(result));
  EXPECT_EQ(document["name"], "tab\t, quote \", \\, \x01, \x7F and no UTF-8: \xEF\xBF\xBD");
  EXPECT_EQ(document["labels"].size(), 3U);
  EXPECT_EQ(document["labels"][1]["score"], 1e-300);
  EXPECT_EQ(document["labels"][2]["score"], 1);
  EXPECT_EQ(document["timings_ms"]["queue"], 1.5);
  EXPECT_EQ(document["worker"]["app_tier_id"], "app-tier-1");
  result.timings.queue_ms = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(nlohmann::json::parse(to_json(result))["timings_ms"]["queue"].is_null());
}

TEST(JobRequest, ANameThatIsNoUtf8DoesNotBreakTheMessage) {
  JobRequest request = sample_request();
  request.name = "caf\xE9.jpg";
  EXPECT_EQ(parse_job_request(to_json(request))->name, "caf\xEF\xBF\xBD.jpg");
}

TEST(JobRequest, ANewerWritersMembersAreIgnored) {
  auto document = nlohmann::json::parse(to_json(sample_request()));
  document["colour"] = "blue";
  EXPECT_TRUE(parse_job_request(document.dump()));
}

TEST(JobResult, AnErrorOfAnEarlierVersionIsRead) {
  JobResult failed = sample_result();
  failed.labels.clear();
  failed.error = JobError{.code = "poison", .title = "t", .detail = "d", .retryable = true};
  auto document = nlohmann::json::parse(to_json(failed));
  document["error"]["kind"] = document["error"]["code"];
  document["error"].erase("code");
  EXPECT_EQ(parse_job_result(document.dump()), failed);
}

TEST(OtherVersion, IsToldWhateverElseTheDocumentHas) {
  for (const char* text : {R"({"v":2,"anything":[]})", R"({"v":0})", R"({"v":123456789012})"}) {
    EXPECT_EQ(parse_job_request(text).error().code, kOtherVersionCode) << text;
    EXPECT_EQ(parse_job_result(text).error().code, kOtherVersionCode) << text;
  }
  for (const char* text : {"", "{", "[]", "7", "{}", R"({"v":"2"})", R"({"v":-1})", R"({"v":1.5})"}) {
    EXPECT_EQ(parse_job_request(text).error().kind, ErrorKind::invalid) << text;
    EXPECT_EQ(parse_job_result(text).error().kind, ErrorKind::invalid) << text;
  }
}

TEST(OtherVersion, OfATensorIsInItsFirstLine) {
  EXPECT_TRUE(is_tensor_of_other_version("imgrec-tensor 2 f32 3 224 224\n"));
  for (const char* text : {"imgrec-tensor 1 f32 3 2 2\n", "imgrec-tensor x", "imgrec-tensor ", "\xFF\xD8", ""}) {
    EXPECT_FALSE(is_tensor_of_other_version(text)) << text;
  }
}

TEST(ReplyAddress, IsFoundInAMessageThatIsNoRequest) {
  auto document = nlohmann::json::parse(to_json(sample_request()));
  document.erase("input");
  document["v"] = 2;
  const auto address = find_reply_address(document.dump());
  ASSERT_TRUE(address);
  EXPECT_EQ(address->job, sample_request().job);
  EXPECT_EQ(address->session, SessionId("s-1"));
  EXPECT_EQ(address->name, sample_request().name);
  EXPECT_EQ(address->reply_to, "imgrec-responses-a");
  document["session"] = "?";
  document["name"] = 7;
  EXPECT_EQ(find_reply_address(document.dump())->session, SessionId("unknown"));
  EXPECT_EQ(find_reply_address(document.dump())->name, "");
}

TEST(ReplyAddress, IsNotGuessed) {
  auto document = nlohmann::json::parse(to_json(sample_request()));
  for (const char* name : {"job", "reply_to"}) {
    auto without = document;
    without.erase(name);
    EXPECT_FALSE(find_reply_address(without.dump())) << name;
    without[name] = "";
    EXPECT_FALSE(find_reply_address(without.dump())) << name;
    without[name] = 7;
    EXPECT_FALSE(find_reply_address(without.dump())) << name;
  }
  for (const char* text : {"", "no JSON", "[]", "7", "null"}) EXPECT_FALSE(find_reply_address(text)) << text;
}

TEST(JobRequest, NamesTheMemberThatIsWrong) {
  const auto whole = nlohmann::json::parse(to_json(sample_request()));
  for (const std::string name :
       {"v", "job", "session", "name", "input", "options", "reply_to", "submitted_at", "expires_at"}) {
    auto without = whole, mistyped = whole;
    without.erase(name);
    mistyped[name] = nlohmann::json::array();
    for (const auto& document : {without, mistyped}) {
      const auto parsed = parse_job_request(document.dump());
      ASSERT_FALSE(parsed) << name;
      EXPECT_EQ(parsed.error().code, "bad_request_message");
      EXPECT_EQ(parsed.error().kind, ErrorKind::invalid);
    }
  }
  auto later = whole;
  later["v"] = 2;
  EXPECT_NE(parse_job_request(later.dump()).error().message.find("version"), std::string::npos);
  for (const char* text : {"", "null", "[]", "{", "\xff"}) EXPECT_FALSE(parse_job_request(text)) << text;
}

TEST(JobResult, RefusesNeitherLabelsNorError) {
  auto document = nlohmann::json::parse(to_json(sample_result()));
  document["labels"] = nlohmann::json::array();
  EXPECT_FALSE(parse_job_result(document.dump()));
  document.erase("labels");
  EXPECT_FALSE(parse_job_result(document.dump()));
}

TEST(SessionId, HasFewLetters) {
  EXPECT_TRUE(parse_session_id("abc_DEF-123"));
  for (const char* text : {"", "a b", "a/b", "ü"}) EXPECT_FALSE(parse_session_id(text)) << text;
  EXPECT_FALSE(parse_session_id(std::string(65, 'a')));
}

TEST(FileStem, DropsFoldersAndTheLastExtension) {
  EXPECT_EQ(file_stem("test_0.JPEG"), "test_0");
  EXPECT_EQ(file_stem("a/b\\c.tar.gz"), "c.tar");
  EXPECT_EQ(file_stem("plain"), "plain");
  EXPECT_EQ(file_stem(".hidden"), ".hidden");
}

}  // namespace
}  // namespace imgrec::job_test
