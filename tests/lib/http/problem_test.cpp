#include "lib/http/server/problem.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace imgrec::problem_test {
namespace {

TEST(Problem, IsRfc9457) {
  const auto response = problem_response(422, "image_truncated", "The JPEG ends early.", RequestId("r1"));
  EXPECT_EQ(response.status, 422);
  EXPECT_EQ(response.content_type, "application/problem+json");
  EXPECT_EQ(nlohmann::json::parse(response.body), (nlohmann::json{{"type", "about:blank"},
                                                                  {"title", "Unprocessable Content"},
                                                                  {"status", 422},
                                                                  {"code", "image_truncated"},
                                                                  {"detail", "The JPEG ends early."},
                                                                  {"retryable", false},
                                                                  {"request_id", "r1"}}));
}

TEST(Problem, QuotesBytesThatAreNoUtf8) {
  const auto response = problem_response(400, "bad", "name \xFF\"\n", RequestId("r"));
  EXPECT_EQ(nlohmann::json::parse(response.body)["detail"], "name \xEF\xBF\xBD\"\n");
}

TEST(Problem, KnowsReasons) {
  EXPECT_EQ(reason_phrase(200), "OK");
  EXPECT_EQ(reason_phrase(431), "Request Header Fields Too Large");
  EXPECT_EQ(reason_phrase(599), "");
}

}  // namespace
}  // namespace imgrec::problem_test
