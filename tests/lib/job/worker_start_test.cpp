#include "lib/job/worker_start.hpp"

#include <gtest/gtest.h>

namespace imgrec::worker_start_test {
namespace {

TEST(WorkerStart, SurvivesTheStore) {
  const WorkerStartFailure failure{.code = "model_damaged",
                                   .detail = "The file \"x\" is damaged: pull the model again.",
                                   .worker = "w-1",
                                   .version = "1.2.3",
                                   .at = WallTime(Seconds(1'790'000'000))};
  EXPECT_EQ(parse_worker_start(to_json(failure)), failure);
}

TEST(WorkerStart, ReadsNothingElse) {
  for (const char* text : {"", "{}", "[]", "null", R"({"code":"x"})", R"({"code":"x","at":7})"}) {
    const auto parsed = parse_worker_start(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code, "bad_worker_start");
  }
}

}  // namespace
}  // namespace imgrec::worker_start_test
