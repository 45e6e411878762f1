#include "lib/telemetry/listener/metrics_listener.hpp"

#include <gmock/gmock.h>

#include "tests/lib/http/raw_client.hpp"

namespace imgrec::metrics_listener_test {
namespace {

using test::body_of;
using test::header_of;
using test::status_of;
using testing::HasSubstr;

std::string ask(const MetricsListener& listener, const std::string& line) {
  test::RawClient client(listener.port);
  client.send(line + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  return client.read_all();
}

TEST(MetricsListener, ServesMetricsHealthAndDecisions) {
  Metrics metrics;
  metrics.counter("a_total", "A.").add(3);
  DecisionHistory decisions(10);
  decisions.record({.wanted = 4, .why = "4 messages"});
  const auto listener = start_metrics_listener({}, metrics, &decisions);
  ASSERT_TRUE(listener) << listener.error().message;
  const auto text = ask(*listener, "GET /metrics");
  EXPECT_EQ(status_of(text), 200);
  EXPECT_EQ(header_of(text, "Content-Type"), kMetricsContentType);
  EXPECT_THAT(body_of(text), HasSubstr("a_total 3\n"));
  EXPECT_EQ(body_of(ask(*listener, "GET /healthz")), "ok\n");
  const auto decided = ask(*listener, "GET /decisions");
  EXPECT_EQ(header_of(decided, "Content-Type"), "application/json");
  EXPECT_THAT(body_of(decided), HasSubstr("\"wanted\":4"));
  EXPECT_EQ(status_of(ask(*listener, "GET /")), 404);
  EXPECT_EQ(status_of(ask(*listener, "DELETE /metrics")), 405);
}

TEST(MetricsListener, HasNoDecisionsWithoutAController) {
  Metrics metrics;
  const auto listener = start_metrics_listener({}, metrics, nullptr);
  ASSERT_TRUE(listener);
  EXPECT_EQ(status_of(ask(*listener, "GET /decisions")), 404);
}

TEST(MetricsListener, APortInUseIsAnErrorThatNamesItsSetting) {
  Metrics metrics;
  const auto first = start_metrics_listener({}, metrics, nullptr);
  ASSERT_TRUE(first);
  const auto second = start_metrics_listener({.port = first->port}, metrics, nullptr);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, "cannot_listen");
  EXPECT_THAT(second.error().message, HasSubstr("--metrics-port"));
}

}  // namespace
}  // namespace imgrec::metrics_listener_test
