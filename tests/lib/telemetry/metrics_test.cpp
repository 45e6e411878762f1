#include "lib/telemetry/metrics.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <thread>

namespace imgrec::metrics_test {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Metrics, WritesTheTextFormat) {
  Metrics metrics;
  metrics.counter("imgrec_images_total", "Images taken in.", {{"result", "ok"}}).add();
  metrics.counter("imgrec_images_total", "Another help text.", {{"result", "ok"}}).add(2);
  metrics.counter("imgrec_images_total", "Images taken in.", {{"result", "a\"b\\\n"}}).add();
  metrics.histogram("imgrec_wait_seconds", "Waiting.", {0.1, 1}).observe(0.5);
  metrics.gauge("imgrec_open", "Open connections.", [] { return 7.0; });
  const auto text = metrics.scrape();
  EXPECT_THAT(text, HasSubstr("# HELP imgrec_images_total Images taken in.\n# TYPE imgrec_images_total counter\n"));
  EXPECT_THAT(text, Not(HasSubstr("Another help")));
  EXPECT_THAT(text, HasSubstr("imgrec_images_total{result=\"ok\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("imgrec_images_total{result=\"a\\\"b\\\\\\n\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE imgrec_wait_seconds histogram\n"));
  EXPECT_THAT(text, HasSubstr("imgrec_wait_seconds_bucket{le=\"0.1\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("imgrec_wait_seconds_bucket{le=\"1\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("imgrec_wait_seconds_bucket{le=\"+Inf\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("imgrec_wait_seconds_count 1\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE imgrec_open gauge\nimgrec_open 7\n"));
}

TEST(Metrics, TheSameNameAndLabelsAreTheSameMetric) {
  Metrics metrics;
  auto& first = metrics.counter("a_total", "A.", {{"x", "1"}, {"y", "2"}});
  EXPECT_EQ(&first, &metrics.counter("a_total", "A.", {{"y", "2"}, {"x", "1"}}));
  EXPECT_NE(&first, &metrics.counter("a_total", "A.", {{"x", "1"}, {"y", "3"}}));
}

TEST(Metrics, GaugesAreReadAtEveryScrape) {
  Metrics metrics;
  double value = 1;
  metrics.gauge("depth", "Depth.", [&] { return value; });
  EXPECT_THAT(metrics.scrape(), HasSubstr("\ndepth 1\n"));
  value = 2.5;
  EXPECT_THAT(metrics.scrape(), HasSubstr("\ndepth 2.5\n"));
  metrics.gauge("depth", "Depth.", [] { return std::nan(""); });  // replaces the callback
  EXPECT_THAT(metrics.scrape(), Not(HasSubstr("depth"))) << "unknown is absent";
}

TEST(Metrics, SeriesOfOneNameAreBounded) {
  Metrics metrics;
  for (int i = 0; i < 10'000; ++i) {
    const MetricLabels labels = {{"route", std::to_string(i)}};
    metrics.counter("requests_total", "R.", labels).add();
    metrics.histogram("wait_seconds", "W.", {1}, labels).observe(0.5);
    metrics.gauge("open", "O.", [] { return 1.0; }, labels);
  }
  const auto text = metrics.scrape();
  EXPECT_THAT(text, HasSubstr("requests_total{route=\"99\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("requests_total{route=\"other\"} 9900\n"));
  EXPECT_THAT(text, HasSubstr("wait_seconds_count{route=\"other\"} 9900\n"));
  EXPECT_LT(std::ranges::count(text, '\n'), 800);
  metrics.counter("other_total", "Another name has its own.", {{"route", "x"}}).add();
  EXPECT_THAT(metrics.scrape(), HasSubstr("other_total{route=\"x\"} 1\n"));
}

TEST(Metrics, RefusesNamesThatPrometheusDoesNotTake) {
  Metrics metrics;
  metrics.counter("a_total", "A.");
  EXPECT_THROW(metrics.counter("a-b", "A."), std::invalid_argument);
  EXPECT_THROW(metrics.gauge("a_total", "A.", [] { return 0.0; }), std::invalid_argument);
  EXPECT_THAT(metrics.scrape(), HasSubstr("a_total 0\n"));
}

TEST(Metrics, CountsFromManyThreads) {
  Metrics metrics;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) {
        metrics.counter("a_total", "A.", {{"k", std::to_string(i % 10)}}).add();
        metrics.histogram("h_seconds", "H.", latency_buckets_s()).observe(i);
        if (i % 100 == 0) metrics.scrape();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_THAT(metrics.scrape(), HasSubstr("a_total{k=\"3\"} 400\n"));
  EXPECT_THAT(metrics.scrape(), HasSubstr("h_seconds_count 4000\n"));
}

TEST(Metrics, LatencyBucketsAscend) {
  const auto& buckets = latency_buckets_s();
  EXPECT_EQ(buckets.front(), 0.001);
  EXPECT_EQ(buckets.back(), 900);
  EXPECT_TRUE(std::is_sorted(buckets.begin(), buckets.end()));
}

}  // namespace
}  // namespace imgrec::metrics_test
