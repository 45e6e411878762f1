// The models of the cloud and of the queue, each by itself.
#include <gtest/gtest.h>

#include <cmath>

#include "roles/simulate/arrivals.hpp"
#include "roles/simulate/floor.hpp"
#include "roles/simulate/machines.hpp"
#include "roles/simulate/outcome.hpp"
#include "roles/simulate/request_queue.hpp"
#include "roles/simulate/signals_model.hpp"

namespace imgrec::simulate::models_test {
namespace {

MonoTime at(double seconds) {
  return kBegin + from_seconds(seconds);
}

TEST(Distributions, HaveTheMeansThatTheySay) {
  SplitMix64 rng(1);
  const LogNormal time{.median_s = 2, .sigma = 0.5};
  double sum = 0, exponential = 0, normal = 0, squares = 0;
  constexpr int kDraws = 100'000;
  for (int i = 0; i < kDraws; ++i) {
    sum += time.sample(rng);
    exponential += sample_exponential(rng, 3);
    const double one = sample_normal(rng);
    normal += one;
    squares += one * one;
  }
  EXPECT_NEAR(sum / kDraws, time.mean(), 0.02);
  EXPECT_NEAR(exponential / kDraws, 3, 0.05);
  EXPECT_NEAR(normal / kDraws, 0, 0.02);
  EXPECT_NEAR(squares / kDraws, 1, 0.02);
}

TEST(WorkerKinds, WorkAsFastAsTheirDescriptionSays) {
  EXPECT_NEAR(find_worker_kind("reference")->images_per_s(), 0.8, 1e-9);
  EXPECT_NEAR(find_worker_kind("fast")->images_per_s(), 437.5, 1e-6);
  EXPECT_EQ(find_worker_kind("slow").error().code, "no_such_worker_kind");
}

TEST(Billing, BySecondFromRunningAndSixtyAtLeast) {
  Machine machine;
  EXPECT_EQ(billed_seconds(machine, at(500)), 0) << "it never ran";
  machine.billed_from = at(10);
  EXPECT_EQ(billed_seconds(machine, at(20)), 60);
  EXPECT_EQ(billed_seconds(machine, at(110)), 100);
  machine.billed_until = at(75);
  EXPECT_EQ(billed_seconds(machine, at(500)), 65);
}

TEST(RequestQueue, CountsAreThoseOfAWhileAgo) {
  SplitMix64 rng(1);
  RequestQueue queue;
  EXPECT_EQ(queue.read(at(1), Span(0), rng).visible, 0U);
  for (std::uint32_t job = 0; job < 8; ++job) queue.add(job, 1, at(100));
  EXPECT_EQ(queue.read(at(110), std::chrono::seconds(30), rng).visible, 0U) << "as late as the fault says";
  EXPECT_EQ(queue.read(at(170), std::chrono::seconds(60), rng).visible, 8U);
  queue.take(at(200), 1);
  EXPECT_EQ(queue.read(at(300), Span(0), rng).visible, 7U);
  EXPECT_EQ(queue.read(at(300), Span(0), rng).in_flight, 1U);
  queue.leave_flight(1, at(301));
  EXPECT_EQ(queue.read(at(400), Span(0), rng).in_flight, 0U);
}

TEST(RequestQueue, CountsMayBeExact) {
  SplitMix64 rng(1);
  RequestQueue queue(/*late_s=*/0, /*off=*/0);
  queue.add(0, 1'000, at(10));
  EXPECT_EQ(queue.read(at(10), Span(0), rng).visible, 1'000U);
}

TEST(RequestQueue, WhatIsGivenBackComesFirstAndWhatLeavesLaterIsInFlightUntilThen) {
  SplitMix64 rng(1);
  RequestQueue queue(0, 0);
  for (std::uint32_t job = 0; job < 3; ++job) queue.add(job, 1, at(10));
  queue.take(at(11), 1);
  queue.take(at(11), 1);
  queue.return_to_head(1, 1, at(12));
  EXPECT_EQ(queue.front(), 1U);
  queue.leave_flight_later(1, at(14));
  EXPECT_EQ(queue.read(at(13), Span(0), rng).in_flight, 1U);
  EXPECT_EQ(queue.read(at(14), Span(0), rng).in_flight, 0U);
  EXPECT_EQ(queue.read(at(14), Span(0), rng).visible, 2U);
}

TEST(RequestQueue, LongQueuesAreCountedApproximately) {
  SplitMix64 rng(1);
  RequestQueue queue;
  queue.add(0, 1'000, at(0));
  double sum = 0;
  bool differs = false;
  for (int i = 0; i < 200; ++i) {
    const auto seen = static_cast<double>(queue.read(at(1'000), Span(0), rng).visible);
    differs = differs || seen != 1'000;
    sum += seen;
  }
  EXPECT_TRUE(differs);
  EXPECT_NEAR(sum / 200, 1'000, 20);
}

class MachinesTest : public testing::Test {
 protected:
  Machines machines(const std::string& faults = "") {
    scenario_ = *parse_scenario("duration = \"1h\"\n" + faults, "test.toml", kind_);
    return {scenario_, kind_, events_, 1};
  }
  WorkerKind kind_ = *find_worker_kind("reference");
  Scenario scenario_;
  EventQueue events_;
};

TEST_F(MachinesTest, ALaunchIsPendingThenRunningAndGoesWhenToldTo) {
  Machines cloud = machines();
  const auto launched = cloud.launch({.count = 2, .total = 2, .token = LaunchToken("a")});
  ASSERT_EQ(launched->size(), 2U);
  EXPECT_EQ(launched->at(0).app_tier_id, "app-tier-1");
  EXPECT_EQ(launched->at(1).app_tier_id, "app-tier-2");
  EXPECT_EQ(cloud.describe()->at(0).state, InstanceState::pending);
  cloud.set_now(at(20));
  cloud.runs(0);
  EXPECT_EQ(cloud.describe()->at(0).state, InstanceState::running);
  const std::vector<InstanceId> ids = {launched->at(0).id, InstanceId("i-99"), InstanceId("else")};
  ASSERT_TRUE(cloud.terminate(ids));
  EXPECT_EQ(cloud.describe()->at(0).state, InstanceState::stopping);
  cloud.gone(0);
  EXPECT_EQ(cloud.describe()->size(), 1U);
  const auto next = cloud.launch({.count = 1, .total = 2, .token = LaunchToken("b")});
  EXPECT_EQ(next->at(0).app_tier_id, "app-tier-1") << "the lowest free number";
}

TEST_F(MachinesTest, TheSameTokenLaunchesNothingMore) {
  Machines cloud = machines("[[faults]]\nto = \"10s\"\nlaunch_reply_lost = 1");
  const LaunchRequest request{.count = 3, .total = 3, .token = LaunchToken("a")};
  EXPECT_EQ(cloud.launch(request).error().kind, ErrorKind::transient);
  EXPECT_EQ(cloud.describe()->size(), 3U);
  cloud.set_now(at(20));
  EXPECT_EQ(cloud.launch(request)->size(), 3U);
  EXPECT_EQ(cloud.describe()->size(), 3U);
}

TEST_F(MachinesTest, ThereMayBeNoCapacityOrOnlyForSome) {
  Machines cloud = machines("[[faults]]\ncapacity = 2");
  EXPECT_EQ(cloud.launch({.count = 5, .total = 5, .token = LaunchToken("a")})->size(), 2U);
  EXPECT_EQ(cloud.launch({.count = 3, .total = 5, .token = LaunchToken("b")}).error().code, "fleet_full");
}

TEST(Arrivals, ComeAtTheRateThatTheScenarioSays) {
  const WorkerKind kind = *find_worker_kind("fast");
  for (const std::uint64_t jobs_max : {std::uint64_t{1'000'000}, std::uint64_t{2'000}}) {
    const Scenario scenario{
        .name = "s",
        .duration_s = 1'000,
        .arrivals = {{.to_s = 1'000, .rate_begin = 0, .rate_end = 200}, {.from_s = 5, .images = 7}}};
    const Workload workload = make_workload(scenario, kind, 1, jobs_max);
    EXPECT_EQ(workload.images_per_job > 1, jobs_max == 2'000);
    EXPECT_NEAR(static_cast<double>(workload.images), 100'007, 1'500);
    std::uint64_t late = 0;
    for (const Job& job : workload.jobs) late += job.at >= at(500) ? job.images : 0;
    EXPECT_NEAR(static_cast<double>(late), 75'000, 1'500);
    EXPECT_NEAR(workload.service_s, static_cast<double>(workload.images) * kind.image_s.mean(), 10);
    EXPECT_TRUE(std::ranges::is_sorted(workload.jobs, {}, &Job::at));
  }
}

TEST(Arrivals, WavesBeginAtTheirLowest) {
  const ArrivalPart part{.to_s = 200, .rate_begin = 10, .rate_end = 10, .wave_period_s = 100, .wave_low = 0.2};
  EXPECT_NEAR(rate_at(part, 0), 2, 1e-9);
  EXPECT_NEAR(rate_at(part, 50), 10, 1e-9);
  EXPECT_NEAR(rate_at(part, 100), 2, 1e-9);
}

TEST(Floor, IsTheWorkAndOneBoot) {
  const WorkerKind kind = *find_worker_kind("reference");
  EXPECT_EQ(floor_usd({}, kind), 0);
  const double one = floor_usd({.images = 1, .service_s = 1.25}, kind);
  EXPECT_NEAR(one, 60 * kind.dollars_per_hour / 3600, 1e-6) << "a machine is billed for a minute";
  const double hour = floor_usd({.images = 2'880, .service_s = 3'600}, kind);
  EXPECT_GT(hour, kind.dollars_per_hour);
  EXPECT_LT(hour, kind.dollars_per_hour * 1.1);
}

TEST(WaitHistogram, QuantilesAreWithinOnePercent) {
  WaitHistogram waits;
  EXPECT_EQ(waits.quantile(0.95), 0);
  for (int i = 1; i <= 1'000; ++i) waits.add(i, 2);
  EXPECT_EQ(waits.images(), 2'000U);
  EXPECT_NEAR(waits.quantile(0.5), 500, 5.1);
  EXPECT_NEAR(waits.quantile(0.95), 950, 9.6);
  EXPECT_EQ(waits.quantile(1), 1'000);
  EXPECT_EQ(waits.max(), 1'000);
}

TEST(SignalsModel, TellsRatesGapsAndMeans) {
  SignalsModel signals;
  EXPECT_FALSE(signals.read(at(5)).arrivals_per_s);
  EXPECT_TRUE(signals.arrived(at(10), 1));
  EXPECT_FALSE(signals.arrived(at(11), 1));
  EXPECT_TRUE(signals.arrived(at(71), 1)) << "after a minute without any";
  for (int second = 72; second <= 300; ++second) signals.arrived(at(second), 4);
  const Signals seen = signals.read(at(301));
  EXPECT_NEAR(*seen.arrivals_per_s, 29 * 4 / 30.0, 1e-9);
  signals.arrived(at(302), 4);
  EXPECT_NEAR(*signals.read(at(303)).arrivals_per_s, 27 * 4 / 30.0, 1e-9) << "told of five seconds at a time";
  EXPECT_EQ(seen.quiet_gaps, std::vector<Millis>{Millis(60'000)});
  EXPECT_EQ(seen.last_arrival, at(300));
  EXPECT_FALSE(seen.image_seconds);
  EXPECT_EQ(*signals.read(at(3'000)).arrivals_per_s, 0);
  signals.finished(10, 5);
  EXPECT_NEAR(*signals.read(at(3'000)).image_seconds, 0.5, 1e-9);
  for (int i = 1; i <= 10; ++i) signals.booted(std::chrono::seconds(i));
  EXPECT_EQ(signals.read(at(3'000)).boot_mean, Millis(5'500));
  EXPECT_EQ(signals.read(at(3'000)).boot_high, Millis(10'000));
}

}  // namespace
}  // namespace imgrec::simulate::models_test
