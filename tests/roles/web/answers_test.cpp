#include "roles/web/api/answers.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "roles/web/api/errors.hpp"
#include "tests/support/fake_clock.hpp"

namespace imgrec::answers_test {
namespace {

using testing::HasSubstr;

const RequestId kRequest("r-1");

JobResult labelled(const std::string& job, const std::string& session = "s") {
  JobResult result;
  result.job = JobId(job);
  result.session = SessionId(session);
  result.labels = {{.index = 1, .wnid = "n1", .label = "dromedary", .score = 0.5}};
  return result;
}

ImageSlot failed(const std::string& kind, bool retryable = false) {
  ImageSlot slot{.name = "a.jpg", .job = JobId("J"), .result = labelled("J"), .refused = {}};
  slot.result->error = JobError{.code = kind, .title = "T", .detail = "The detail.", .retryable = retryable};
  slot.result->labels.clear();
  return slot;
}

TEST(StatusOf, OneTableForAllErrors) {
  EXPECT_EQ(status_of("image_truncated", false), 422);
  EXPECT_EQ(status_of("image_corrupt", false), 422);
  EXPECT_EQ(status_of("image_empty", false), 422);
  EXPECT_EQ(status_of("image_too_large", false), 413);
  EXPECT_EQ(status_of("unsupported_format", false), 415);
  EXPECT_EQ(status_of("poison", false), 500);
  EXPECT_EQ(status_of("something_new", false), 500);
  EXPECT_EQ(status_of("something_new", true), 503);
}

TEST(ErrorTable, HasEachCodeOnceWithAdvice) {
  std::set<std::string_view> codes;
  for (const ErrorCode& error : error_codes()) {
    EXPECT_TRUE(codes.insert(error.code).second) << error.code;
    EXPECT_GE(error.status, 400);
    EXPECT_TRUE(error.advice.ends_with('.')) << error.code;
  }
}

TEST(ErrorType, IsThePageOfTheCodeOrOfThoseLikeIt) {
  EXPECT_EQ(error_type("image_truncated", 422), "/docs/errors/image_truncated");
  EXPECT_EQ(error_type("image_unheard_of", 422), "/docs/errors/image_corrupt");
  EXPECT_EQ(error_type("disk_full", 503), "/docs/errors/unavailable");
  EXPECT_EQ(error_type("disk_full", 504), "/docs/errors/unavailable");
  EXPECT_EQ(error_type("something_new", 500), "/docs/errors/internal_error");
}

TEST(ImagesResponse, CompatibilityNeverSays503) {
  for (const Style style : {Style::text, Style::json}) {
    const Response response =
        images_response({.style = style, .held = true}, WaitEnd::stopping,
                        {{.name = "a", .job = JobId("J"), .result = {}, .refused = {}}}, kRequest);
    EXPECT_EQ(response.status, 504);
    EXPECT_EQ(
        images_response({.style = style, .held = true}, WaitEnd::answered, {failed("odd", true)}, kRequest).status,
        504);
    EXPECT_EQ(error_response({.style = style, .held = true}, {ErrorKind::transient, "x", "y"}, kRequest).status, 504);
  }
}

TEST(ImagesResponse, AnErrorIsAProblemOrPlainText) {
  const Response problem = images_response({}, WaitEnd::answered, {failed("image_truncated")}, kRequest);
  EXPECT_EQ(problem.status, 422);
  EXPECT_EQ(problem.content_type, "application/problem+json");
  EXPECT_THAT(problem.body, HasSubstr("\"code\":\"image_truncated\""));
  EXPECT_THAT(problem.body, HasSubstr("\"job\":\"J\""));
  EXPECT_THAT(problem.body, HasSubstr("r-1"));
  const Response text =
      images_response({.style = Style::text}, WaitEnd::answered, {failed("image_truncated")}, kRequest);
  EXPECT_EQ(text.status, 422);
  EXPECT_EQ(text.content_type, "text/plain; charset=utf-8");
  EXPECT_EQ(text.body, "The detail.\n");
}

TEST(ImagesResponse, SeveralInTextAreLines) {
  std::vector<ImageSlot> slots{{.name = "a:b.jpg", .job = JobId("J"), .result = labelled("J"), .refused = {}},
                               failed("image_corrupt")};
  EXPECT_EQ(
      images_response({.style = Style::text, .dialect = Dialect::stem_label}, WaitEnd::answered, slots, kRequest).body,
      "a_b:dromedary\nerror: The detail.\n");
}

TEST(AnswerStem, HasNoColonAndNoExtension) {
  EXPECT_EQ(answer_stem("test_00.jpg"), "test_00");
  EXPECT_EQ(answer_stem("a/b:c.JPEG"), "b_c");
  EXPECT_EQ(answer_stem("::.tar.gz"), "__.tar");
  EXPECT_EQ(answer_stem(""), "");
}

}  // namespace
}  // namespace imgrec::answers_test
