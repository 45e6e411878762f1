#include "roles/simulate/trace.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace imgrec::simulate::trace_test {
namespace {

const WorkerKind kReference = *find_worker_kind("reference");

std::string mistake(const std::string& text) {
  const auto trace = parse_trace(text, "test.csv");
  return trace ? "none" : trace.error().message;
}

TEST(Trace, ARowWithoutCountIsOneArrivalAtItsTime) {
  const auto trace = parse_trace("at_s\n0.5\n2.25\n2.25\n", "dir/calls.csv");
  ASSERT_TRUE(trace) << trace.error().message;
  EXPECT_EQ(trace->name, "calls");
  const Workload workload = make_workload(*trace, 1, kReference, 1);
  ASSERT_EQ(workload.jobs.size(), 3U);
  EXPECT_NEAR(since_begin(workload.jobs[0].at), 0.5, 1e-6);
  EXPECT_NEAR(since_begin(workload.jobs[1].at), 2.25, 1e-6);
}

TEST(Trace, CountsAreKeptAndSpreadOverTheirStretch) {
  const auto trace = parse_trace("at_s,count\n0,100\n300,0\n600,40\r\n", "test.csv");
  ASSERT_TRUE(trace) << trace.error().message;
  EXPECT_EQ(trace->duration_s(), 900) << "the last stretch is as long as the one before";
  const Workload workload = make_workload(*trace, 1, kReference, 1);
  EXPECT_EQ(workload.images, 140U);
  int first = 0, early = 0;
  for (const Job& job : workload.jobs) {
    const double at_s = since_begin(job.at);
    EXPECT_FALSE(at_s >= 300 && at_s < 600);
    first += at_s < 300;
    early += at_s < 150;
  }
  EXPECT_EQ(first, 100);
  EXPECT_NEAR(early, 50, 20);
}

TEST(Trace, ScalesByAnyFactor) {
  const auto trace = parse_trace("at_s,count\n0,1000\n60,1000\n", "test.csv");
  ASSERT_TRUE(trace);
  EXPECT_EQ(make_workload(*trace, 3, kReference, 1).images, 6'000U);
  EXPECT_EQ(make_workload(*trace, 0.5, kReference, 1).images, 1'000U);
  const Workload grouped = make_workload(*trace, 3, *find_worker_kind("fast"), 1, 100);
  EXPECT_EQ(grouped.images, 6'000U);
  EXPECT_EQ(grouped.images_per_job, 60);
  const auto single = parse_trace("at_s\n0\n10\n20\n", "test.csv");
  const Workload spread = make_workload(*single, 10, kReference, 1);
  EXPECT_EQ(spread.images, 30U);
  EXPECT_NE(spread.jobs[0].at, spread.jobs[1].at) << "ten at the same instant is no arrival process";
}

TEST(Trace, TheScaleForAPeakIsOfTheBusiestMinuteOrRow) {
  const auto rows = parse_trace("at_s,count\n0,30\n300,240\n600,30\n", "test.csv");
  // 240 images in 300 s are what one machine of 0.8 images/s does.
  EXPECT_NEAR(scale_for_peak(*rows, kReference, 20), 20, 1e-9);
  std::string text = "at_s\n";
  for (int i = 0; i < 480; ++i) text += std::to_string(100 + i / 8.0) + "\n";
  // Eight a second for a minute: ten machines.
  EXPECT_NEAR(scale_for_peak(*parse_trace(text, "test.csv"), kReference, 20), 2, 0.1);
}

TEST(Trace, MistakesAreToldWithTheirLine) {
  EXPECT_EQ(mistake("at_s\n1\n"), "none");
  EXPECT_NE(mistake("time\n1\n").find("test.csv:1"), std::string::npos);
  EXPECT_NE(mistake("at_s\n1\nx\n").find("test.csv:3"), std::string::npos);
  EXPECT_NE(mistake("at_s\n2\n1\n").find("earlier"), std::string::npos);
  EXPECT_NE(mistake("at_s,count\n1\n").find("count"), std::string::npos);
  EXPECT_NE(mistake("at_s,count\n1,-2\n").find("count"), std::string::npos);
  EXPECT_NE(mistake("at_s\n").find("no row"), std::string::npos);
}

}  // namespace
}  // namespace imgrec::simulate::trace_test
