#include "lib/telemetry/exposition.hpp"

#include <gmock/gmock.h>

#include "lib/telemetry/metrics.hpp"

namespace imgrec::exposition_test {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Exposition, LabelsComeBeforeThoseThatAreThere) {
  EXPECT_EQ(add_labels("# HELP a A.\n# TYPE a counter\na 1\na{x=\"1\"} 2\na{} 3\n", {{"w", "i-1"}, {"t", "q\"\\\n"}}),
            "# HELP a A.\n# TYPE a counter\na{w=\"i-1\",t=\"q\\\"\\\\\\n\"} 1\n"
            "a{w=\"i-1\",t=\"q\\\"\\\\\\n\",x=\"1\"} 2\na{w=\"i-1\",t=\"q\\\"\\\\\\n\"} 3\n");
  EXPECT_EQ(add_labels("a 1\n", {}), "a 1\n");
}

TEST(Exposition, MergesEachMetricIntoOneBlock) {
  const std::vector<std::string> texts = {
      "# HELP a A.\n# TYPE a counter\na 1\n# HELP b B.\n# TYPE b gauge\nb 2\n",
      "# HELP b Other words.\n# TYPE b gauge\nb{w=\"1\"} 3\n# HELP a A.\n# TYPE a counter\na{w=\"1\"} 4\n"
      "# HELP c C.\n# TYPE c gauge\nc{w=\"1\"} 5\n"};
  EXPECT_EQ(merge_expositions(texts),
            "# HELP a A.\n# TYPE a counter\na 1\na{w=\"1\"} 4\n# HELP b B.\n# TYPE b gauge\nb 2\nb{w=\"1\"} 3\n"
            "# HELP c C.\n# TYPE c gauge\nc{w=\"1\"} 5\n");
}

TEST(Exposition, AHistogramStaysTogether) {
  Metrics one, two;
  one.histogram("h_seconds", "H.", {1}).observe(0.5);
  two.histogram("h_seconds", "H.", {1}).observe(2);
  const std::vector<std::string> texts = {one.scrape(), add_labels(two.scrape(), {{"w", "2"}})};
  EXPECT_EQ(
      merge_expositions(texts),
      "# HELP h_seconds H.\n# TYPE h_seconds histogram\nh_seconds_count 1\nh_seconds_sum 0.5\n"
      "h_seconds_bucket{le=\"1\"} 1\nh_seconds_bucket{le=\"+Inf\"} 1\nh_seconds_count{w=\"2\"} 1\n"
      "h_seconds_sum{w=\"2\"} 2\nh_seconds_bucket{w=\"2\",le=\"1\"} 0\nh_seconds_bucket{w=\"2\",le=\"+Inf\"} 1\n");
}

TEST(Exposition, WhatIsNoneIsLeftOut) {
  const std::vector<std::string> texts = {"a 1\n", "", "\x01\xff{}\n\n# a remark\n 5\na 2\nb 3", "# TYPE d gauge\n"};
  EXPECT_EQ(merge_expositions(texts), "a 1\na 2\n") << "the last line was cut off";
}

TEST(Exposition, MetricsShowThoseOfOthers) {
  Metrics metrics;
  metrics.counter("a_total", "A.").add();
  metrics.show_others([] { return std::vector<std::string>{"# TYPE a_total counter\na_total{w=\"1\"} 7\n"}; });
  EXPECT_EQ(metrics.scrape(), "# HELP a_total A.\n# TYPE a_total counter\na_total 1\na_total{w=\"1\"} 7\n");
  metrics.show_others({});
  EXPECT_THAT(metrics.scrape(), Not(HasSubstr("w=")));
}

}  // namespace
}  // namespace imgrec::exposition_test
