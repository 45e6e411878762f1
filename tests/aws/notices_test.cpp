#include "aws/adapters/notices.hpp"

#include <gmock/gmock.h>

#include "tests/aws/support.hpp"

namespace imgrec::aws::notices_test {
namespace {

using testing::ElementsAre;

class NoticesTest : public testing::Test {
 protected:
  void watch(std::stop_token token = {}) {
    watch_for_notices(imds, clock, [&](const std::string& action) { actions.push_back(action); }, token);
  }
  void none(int count) {
    for (int i = 0; i < count; ++i) http.then(404);
  }

  test::JumpClock clock;
  test::FixedRng rng{0};
  test::ScriptedHttp http;
  Imds imds{{"http", "169.254.169.254", "", ""}, http, clock, rng};
  std::vector<std::string> actions;
};

TEST_F(NoticesTest, TellsASpotNoticeOnce) {
  http.then(200, "token");
  none(6);
  http.then(200, R"({"action": "terminate", "time": "2026-01-01T00:02:00Z"})");
  watch();
  EXPECT_THAT(actions, ElementsAre("terminate"));
  EXPECT_THAT(clock.sleeps(), ElementsAre(Millis(5'000), Millis(5'000)));
  EXPECT_EQ(http.requests().back().url, "http://169.254.169.254/latest/meta-data/spot/instance-action");
  EXPECT_EQ(test::sent_header(http.requests().back(), "X-aws-ec2-metadata-token"), "token");
}

TEST_F(NoticesTest, TellsARecommendationToRebalance) {
  http.then(200, "token");
  none(4);
  http.then(200, R"({"noticeTime": "2026-01-01T00:02:00Z"})");
  watch();
  EXPECT_THAT(actions, ElementsAre("rebalance"));
  EXPECT_EQ(http.requests().back().url, "http://169.254.169.254/latest/meta-data/events/recommendations/rebalance");
}

TEST_F(NoticesTest, TellsTheEndThatAnAutoScalingGroupDecidedOn) {
  http.then(200, "token");
  none(2);
  http.then(200, "InService");
  none(2);
  http.then(200, "Terminated\n");
  watch();
  EXPECT_THAT(actions, ElementsAre("terminated by its Auto Scaling group"));
  EXPECT_EQ(http.requests().back().url, "http://169.254.169.254/latest/meta-data/autoscaling/target-lifecycle-state");
}

TEST_F(NoticesTest, AsksOnWhenMetadataFails) {
  for (int i = 0; i < 3; ++i) http.then_fail("connection_failed");
  http.then(200, "token");
  http.then(200, "<html>no notice</html>");
  http.then(200, "[]");
  http.then(200, "<html>no state</html>");
  http.then(200, R"({"action": "stop", "time": "2026-01-01T00:02:00Z"})");
  watch();
  EXPECT_THAT(actions, ElementsAre("stop"));
}

TEST_F(NoticesTest, EndsWithAStop) {
  std::stop_source stop;
  http.then(200, "token");
  http.then([&](const HttpClientRequest&) {
    stop.request_stop();
    return HttpClientResponse{404, {}, ""};
  });
  watch(stop.get_token());
  EXPECT_TRUE(actions.empty());
}

}  // namespace
}  // namespace imgrec::aws::notices_test
