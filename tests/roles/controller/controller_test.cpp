#include "roles/controller/controller.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "lib/job/service_status.hpp"
#include "lib/job/signal.hpp"
#include "lib/job/worker_start.hpp"
#include "tests/support/fake_clock.hpp"
#include "tests/support/fake_fleet.hpp"
#include "tests/support/memory_queue.hpp"
#include "tests/support/memory_store.hpp"
#include "tests/support/wait_until.hpp"

namespace imgrec::controller_test {
namespace {

using test::FaultAt;
using test::FleetCall;
using test::QueueCall;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class ControllerTest : public testing::Test {
 protected:
  ~ControllerTest() override { stop(); }

  void start(ControllerConfig config) {
    interval_ = config.interval;
    thread_ = std::jthread([this, config](const std::stop_token& stop) {
      outcome_ = run_controller(config,
                                {.requests = queue_,
                                 .fleet = fleet_,
                                 .clock = clock_,
                                 .rng = rng_,
                                 .metrics = metrics_,
                                 .decisions = decisions_,
                                 .series = series_,
                                 .results = results_,
                                 .signals = signals_,
                                 .how_to_end = how_to_end_,
                                 .fleet_sizes_itself = fleet_sizes_itself_},
                                stop);
    });
    clock_.wait_for_sleepers(1);  // the first round is over
  }
  void stop() {
    thread_.request_stop();
    if (thread_.joinable()) thread_.join();
  }
  /// Lets so many rounds go by.
  void rounds(int count) {
    for (int i = 0; i < count; ++i) {
      const int before = queue_.faults.calls(QueueCall::depth);
      clock_.advance(interval_);
      ASSERT_TRUE(test::wait_until([&] { return queue_.faults.calls(QueueCall::depth) != before; }))
          << "no round in 20 s";
      clock_.wait_for_sleepers(1);
    }
  }
  int active() {
    int count = 0;
    const auto instances = fleet_.describe();
    for (const Instance& instance : *instances) count += instance.state != InstanceState::stopping;
    return count;
  }
  void push(int count) {
    for (int i = 0; i < count; ++i) queue_.push("{}");
  }
  std::vector<Message> receive() { return *queue_.receive({.messages_max = 10}, {}); }
  void remove(const std::vector<Message>& messages) {
    for (const Message& message : messages) ASSERT_TRUE(queue_.remove({{message.receipt}}));
  }

  test::FakeClock clock_;
  test::SeededRng rng_;
  Metrics metrics_;
  DecisionHistory decisions_{100};
  TimeSeries series_{controller_series()};
  test::MemoryQueue queue_{clock_};
  test::FakeFleet fleet_{clock_, {.instances_max = 6, .boot = Millis(3'000), .stop = Millis(2'000)}};
  ObjectStore* results_ = nullptr;
  std::string how_to_end_;
  bool fleet_sizes_itself_ = false;
  test::MemoryQueue signal_queue_{clock_};
  MessageQueue* signals_ = nullptr;
  Result<void> outcome_;
  Millis interval_{0};
  std::jthread thread_;
};

const ControllerConfig kConfig{
    .policy = "depth", .min = 0, .max = 4, .interval = Millis(1'000), .idle_cooldown = Millis(5'000)};

TEST_F(ControllerTest, ScalesOutFromZeroAndBackToZero) {
  start(kConfig);
  rounds(3);
  EXPECT_EQ(fleet_.launched(), 0);

  push(9);
  rounds(1);
  EXPECT_EQ(fleet_.launched(), 4);
  rounds(10);
  EXPECT_EQ(fleet_.launched(), 4) << "pending instances are capacity";

  remove(receive());
  rounds(4);
  EXPECT_EQ(active(), 4) << "the cooldown is not over";
  rounds(3);
  EXPECT_EQ(active(), 0);
  rounds(3);
  EXPECT_TRUE(fleet_.describe()->empty());
}

TEST_F(ControllerTest, AStopEndsItAtOnceWhateverHangs) {
  start(kConfig);
  queue_.faults.go_silent();
  clock_.advance(interval_);
  clock_.wait_for_sleepers(1);  // in the call
  stop();
  EXPECT_TRUE(outcome_);
}

TEST_F(ControllerTest, AStopEndsItAtOnceWhileTheFleetHangs) {
  start(kConfig);
  fleet_.faults.go_silent();
  clock_.advance(interval_);
  clock_.wait_for_sleepers(1);
  stop();
  EXPECT_TRUE(outcome_);
}

TEST_F(ControllerTest, ACallThatHangsEndsAtItsDeadlineAndIsMadeAgain) {
  start(kConfig);
  queue_.faults.go_silent();
  clock_.advance(interval_);
  clock_.wait_for_sleepers(1);
  const int before = queue_.faults.calls(QueueCall::depth);
  clock_.advance(Seconds(60));
  clock_.wait_for_sleepers(1);  // until the next round
  clock_.advance(interval_);
  clock_.wait_for_sleepers(1);
  EXPECT_EQ(queue_.faults.calls(QueueCall::depth), before + 1);
}

TEST_F(ControllerTest, AMessageInFlightKeepsInstances) {
  push(1);
  start(kConfig);
  const auto held = *queue_.receive({.visibility = std::chrono::hours(1)}, {});
  rounds(20);
  EXPECT_EQ(active(), 1);
  remove(held);
  rounds(7);
  EXPECT_EQ(active(), 0);
}

std::string image_enqueued(std::uint64_t sequence) {
  return to_json({.kind = SignalKind::enqueued, .sender = "web-1", .life = "1", .sequence = sequence, .images = 1});
}

TEST_F(ControllerTest, AnImageAfterAQuietTimeIsSeenWithoutWaitingForTheInterval) {
  signals_ = &signal_queue_;
  ControllerConfig config = kConfig;
  config.interval = Seconds(60);
  start(config);
  clock_.advance(Seconds(30));
  push(1);
  signal_queue_.push(image_enqueued(1));
  test::wait_until([&] { return fleet_.launched() > 0; });
  EXPECT_EQ(fleet_.launched(), 1);
  EXPECT_TRUE(signal_queue_.bodies().empty()) << "what was heard is removed";
  stop();
}

TEST_F(ControllerTest, WhileNothingIsToBeDoneAndWebNodesAreHeardItLooksLessOften) {
  signals_ = &signal_queue_;
  start(kConfig);
  const auto looks_in = [&](int seconds) {
    const int before = queue_.faults.calls(QueueCall::depth);
    for (int s = 0; s < seconds; ++s) {
      clock_.advance(Seconds(1));
      clock_.wait_for_sleepers(1);
    }
    return queue_.faults.calls(QueueCall::depth) - before;
  };
  EXPECT_GE(looks_in(16), 14) << "no web node was heard yet";
  signal_queue_.push(image_enqueued(1));
  looks_in(16);
  const int looks = looks_in(80);
  EXPECT_LE(looks, 11);
  EXPECT_GE(looks, 9) << "a signal may be lost";
}

TEST_F(ControllerTest, SignalsThatCannotBeReadOrUnderstoodChangeNothing) {
  signals_ = &signal_queue_;
  signal_queue_.push("no signal");
  signal_queue_.faults.fail_next(QueueCall::receive, 3);
  push(2);
  start(kConfig);
  EXPECT_EQ(active(), 2);
  remove(receive());
  for (int i = 0; i < 9; ++i) rounds(1);
  EXPECT_EQ(active(), 0);
  EXPECT_TRUE(signal_queue_.bodies().empty());
}

TEST_F(ControllerTest, KeepsTheMinimum) {
  ControllerConfig config = kConfig;
  config.min = 2;
  start(config);
  EXPECT_EQ(active(), 2);
  fleet_.kill(fleet_.describe()->at(0).id);
  rounds(1);
  EXPECT_EQ(active(), 2);
}

TEST_F(ControllerTest, ACrashedInstanceIsReplacedWhileThereIsWork) {
  push(3);
  start(kConfig);
  EXPECT_EQ(active(), 3);
  fleet_.kill(fleet_.describe()->at(1).id);
  rounds(1);
  EXPECT_EQ(active(), 3);
  EXPECT_EQ(fleet_.launched(), 4);
}

TEST_F(ControllerTest, NothingIsDecidedOnWhatCouldNotBeRead) {
  push(3);
  start(kConfig);
  ASSERT_EQ(active(), 3);
  remove(receive());
  const int calls = fleet_.faults.calls(FleetCall::launch) + fleet_.faults.calls(FleetCall::terminate);
  queue_.faults.set_outage(test::injected_error());
  rounds(30);
  EXPECT_EQ(active(), 3);
  queue_.faults.set_outage(std::nullopt);
  fleet_.faults.set_outage(test::injected_error());
  rounds(30);
  fleet_.faults.set_outage(std::nullopt);
  EXPECT_EQ(active(), 3);
  EXPECT_EQ(fleet_.faults.calls(FleetCall::launch) + fleet_.faults.calls(FleetCall::terminate), calls);
  rounds(4);
  EXPECT_EQ(active(), 3) << "time that nobody saw is no part of the cooldown";
  rounds(3);
  EXPECT_EQ(active(), 0);
  EXPECT_THAT(metrics_.scrape(), HasSubstr("imgrec_controller_failed_observations_total 60"));
}

TEST_F(ControllerTest, ALaunchWhoseAnswerWasLostIsRepeatedWithItsToken) {
  push(2);
  fleet_.faults.fail_next(FleetCall::launch, 1, test::injected_error(), FaultAt::before);
  fleet_.faults.fail_next(FleetCall::launch, 1, test::injected_error(), FaultAt::after);
  start(kConfig);  // the first attempt: did not arrive
  EXPECT_EQ(active(), 0);
  // The second happens, its answer is lost, and the fleet does not show it yet.
  rounds(1);
  ASSERT_EQ(active(), 2);
  rounds(3);
  EXPECT_EQ(fleet_.launched(), 2);
  EXPECT_EQ(fleet_.tokens().size(), 1u);
}

// A fleet whose describe() lags behind, as EC2's does.
class BlindFleet final : public Fleet {
 public:
  explicit BlindFleet(Fleet& fleet) : fleet_(fleet) {}
  Result<std::vector<Instance>> describe(const CallLimits& limits) override {
    if (describes_left_ > 0) {
      --describes_left_;
      return std::vector<Instance>();
    }
    return fleet_.describe(limits);
  }
  Result<std::vector<Instance>> launch(const LaunchRequest& request, const CallLimits& limits) override {
    return fleet_.launch(request, limits);
  }
  Result<void> terminate(std::span<const InstanceId> ids, const CallLimits& limits) override {
    return fleet_.terminate(ids, limits);
  }

 private:
  Fleet& fleet_;
  int describes_left_ = 2;
};

TEST(ControllerTokens, TheSameTokenIsUsedUntilTheOutcomeIsKnownAndThenNoMore) {
  test::FakeClock clock;
  test::SeededRng rng;
  Metrics metrics;
  DecisionHistory decisions(100);
  TimeSeries series(controller_series());
  test::MemoryQueue queue(clock);
  test::FakeFleet fleet(clock, {.instances_max = 10});
  BlindFleet blind(fleet);
  queue.push("{}");
  queue.push("{}");
  fleet.faults.fail_next(FleetCall::launch, 1, test::injected_error(), FaultAt::after);
  {
    std::jthread controller([&](const std::stop_token& stop) {
      EXPECT_TRUE(run_controller(kConfig,
                                 {.requests = queue,
                                  .fleet = blind,
                                  .clock = clock,
                                  .rng = rng,
                                  .metrics = metrics,
                                  .decisions = decisions,
                                  .series = series},
                                 stop));
    });
    const auto until = [&](auto condition) { ASSERT_TRUE(test::wait_until(condition)); };
    until([&] { return fleet.tokens().size() == 1; });
    clock.wait_for_sleepers(1);
    clock.advance(Millis(1'000));
    until([&] { return fleet.tokens().size() == 2; });
    clock.wait_for_sleepers(1);
    EXPECT_EQ(fleet.tokens()[0], fleet.tokens()[1]);
    EXPECT_EQ(fleet.launched(), 2);

    const auto instances = fleet.describe();
    for (const Instance& instance : *instances) fleet.kill(instance.id);
    clock.advance(Millis(1'000));
    until([&] { return fleet.tokens().size() == 3; });
    EXPECT_NE(fleet.tokens()[2], fleet.tokens()[1]);
    EXPECT_EQ(fleet.launched(), 4);
  }
}

TEST_F(ControllerTest, AFullFleetIsAskedAgainAndNothingElseBreaks) {
  push(9);
  ControllerConfig config = kConfig;
  config.max = 9;  // more than the fleet takes
  start(config);
  EXPECT_EQ(active(), 6);
  rounds(3);
  EXPECT_EQ(active(), 6);
  fleet_.kill(fleet_.describe()->at(0).id);
  rounds(1);
  EXPECT_EQ(active(), 6);
}

TEST_F(ControllerTest, ATerminateThatFailsIsRepeated) {
  push(2);
  start(kConfig);
  remove(receive());
  fleet_.faults.fail_next(FleetCall::terminate, 2);
  rounds(6);
  EXPECT_EQ(active(), 2);
  rounds(2);
  EXPECT_EQ(active(), 0);
}

TEST_F(ControllerTest, ItsEndSaysWhichInstancesGoOnRunning) {
  how_to_end_ = "end them so";
  push(2);
  testing::internal::CaptureStderr();
  start(kConfig);
  rounds(5);
  const auto left = fleet_.describe().value();
  ASSERT_EQ(left.size(), 2U);
  stop();
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_THAT(log, HasSubstr("its instances go on running"));
  EXPECT_THAT(log, HasSubstr("count=2"));
  EXPECT_THAT(log, HasSubstr(left[0].id.str() + " " + left[1].id.str()));
  EXPECT_THAT(log, HasSubstr("to_end_them=\"end them so\""));
}

TEST_F(ControllerTest, ItsEndSaysNothingOfInstancesWhereThereAreNoneOrTheyEndWithIt) {
  testing::internal::CaptureStderr();
  how_to_end_ = "end them so";
  start(kConfig);
  stop();
  how_to_end_.clear();
  push(2);
  start(kConfig);
  rounds(5);
  stop();
  EXPECT_THAT(testing::internal::GetCapturedStderr(), Not(HasSubstr("go on running")));
  EXPECT_EQ(active(), 2);
}

TEST_F(ControllerTest, ItsEndSaysThatItCouldNotLook) {
  how_to_end_ = "end them so";
  start(kConfig);
  fleet_.faults.set_outage(test::injected_error());
  testing::internal::CaptureStderr();
  stop();
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_THAT(log, HasSubstr("could not be read"));
  EXPECT_THAT(log, HasSubstr("end them so"));
  EXPECT_TRUE(outcome_);
}

TEST_F(ControllerTest, ADryRunChangesNothingAndSaysWhatItWould) {
  push(3);
  ControllerConfig config = kConfig;
  config.dry_run = true;
  testing::internal::CaptureStderr();
  start(config);
  rounds(5);
  stop();
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_EQ(fleet_.faults.calls(FleetCall::launch), 0);
  const std::string line = "scaling (dry run)";
  const auto first = log.find(line);
  ASSERT_NE(first, std::string::npos) << log;
  EXPECT_EQ(log.find(line, first + 1), std::string::npos) << "one line, since nothing changed:\n" << log;
  EXPECT_THAT(log, HasSubstr("launch=3"));
}

TEST_F(ControllerTest, AFleetThatSizesItselfIsOnlyWatchedAndExplained) {
  push(3);
  fleet_sizes_itself_ = true;
  testing::internal::CaptureStderr();
  start(kConfig);
  rounds(5);
  stop();
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_EQ(fleet_.faults.calls(FleetCall::launch), 0);
  EXPECT_THAT(log, HasSubstr("scaling (by the group's alarms)"));
  EXPECT_THAT(log, HasSubstr("launch=3"));
}

TEST_F(ControllerTest, ShowsWhatItSees) {
  push(3);
  start(kConfig);
  rounds(1);
  const std::string metrics = metrics_.scrape();
  EXPECT_THAT(metrics, HasSubstr("imgrec_queue_messages{state=\"visible\"} 3"));
  EXPECT_THAT(metrics, HasSubstr("imgrec_instances{state=\"pending\"} 3"));
  EXPECT_THAT(metrics, HasSubstr("imgrec_instances_wanted 3"));
  EXPECT_THAT(metrics, HasSubstr("imgrec_controller_launches_total 3"));
  queue_.faults.fail_next(QueueCall::depth);
  rounds(1);
  EXPECT_THAT(metrics_.scrape(), Not(HasSubstr("imgrec_queue_messages"))) << "a failure is no number";
  EXPECT_THAT(metrics_.scrape(), Not(HasSubstr("imgrec_instances_wanted")));
  EXPECT_THAT(metrics_.scrape(), HasSubstr("imgrec_instances{state=\"pending\"} 3")) << "the fleet could be read";
}

TEST_F(ControllerTest, RemembersWhatItDecidedAndWhy) {
  start(kConfig);
  push(9);
  rounds(1);
  queue_.faults.fail_next(QueueCall::depth);
  rounds(1);
  const auto latest = decisions_.latest(10);
  ASSERT_EQ(latest.size(), 3U);
  EXPECT_EQ(latest[0].seen, std::nullopt);
  EXPECT_EQ(latest[0].wanted, std::nullopt);
  EXPECT_THAT(latest[0].error, Not(testing::IsEmpty()));
  EXPECT_EQ(latest[1].wanted, 4);
  EXPECT_EQ(latest[1].actions.launch, 4);
  EXPECT_EQ(latest[1].seen->visible, 9U);
  EXPECT_THAT(latest[1].why, HasSubstr("9 messages"));
  EXPECT_EQ(latest[2].wanted, 0);
  const auto wanted = series_.read("wanted", Resolution::second, {});
  ASSERT_EQ(wanted.size(), 2U) << "nothing was decided in the third second";
  EXPECT_EQ(wanted[1].mean, 4);
  EXPECT_EQ(series_.read("visible", Resolution::second, {}).back().mean, 9);
}

TEST_F(ControllerTest, ALaunchThatFailsIsInTheHistory) {
  fleet_.faults.fail_next(FleetCall::launch);
  push(1);
  start(kConfig);
  EXPECT_THAT(decisions_.latest(1).at(0).error, Not(testing::IsEmpty()));
}

TEST_F(ControllerTest, ExpectsOfABootWhatTheControllerBeforeItMeasured) {
  test::MemoryStore results(clock_);
  results_ = &results;
  ControllerConfig config = kConfig;
  config.policy = "slo";
  config.boot_time = Seconds(77);
  push(1);
  const auto why_after = [&](const std::string& stored) {
    EXPECT_TRUE(results.put(service_status_key(), stored, {}));
    testing::internal::CaptureStderr();
    start(config);
    stop();
    return decisions_.latest(1).at(0).why + "\n" + testing::internal::GetCapturedStderr();
  };
  ServiceStatus status{.at = clock_.wall_now(), .controller = "c", .policy = "slo"};
  EXPECT_THAT(why_after(to_json(status)), HasSubstr("after a boot of 77 s"));
  status.boots = {{.image = "ami-1", .times_s = {20, 30}}};
  EXPECT_THAT(why_after(to_json(status)), HasSubstr("after a boot of 25 s"));
  EXPECT_THAT(why_after(R"({"v":2})"), AllOf(HasSubstr("after a boot of 77 s"), HasSubstr("measured is not known")));
}

// A fleet whose instances are gone before the next look.
TEST_F(ControllerTest, InstancesThatEndAtOnceAreLaunchedLessAndLessOften) {
  test::MemoryStore results(clock_);
  ASSERT_TRUE(results.put(
      worker_start_key(),
      to_json({.code = "model_damaged", .detail = "Download it again.", .worker = "w", .version = "1"}), {}));
  results_ = &results;
  ControllerConfig config = kConfig;
  config.start_pause_max = Millis(20'000);
  push(1);
  testing::internal::CaptureStderr();
  start(config);
  for (int i = 0; i < 200; ++i) {
    const auto instances = fleet_.describe();
    for (const Instance& instance : *instances) fleet_.kill(instance.id);
    rounds(1);
  }
  EXPECT_LE(fleet_.launched(), 2 + 6 + 200 / 20) << "200 without pauses";
  EXPECT_GE(fleet_.launched(), 200 / 20);
  EXPECT_THAT(metrics_.scrape(), HasSubstr("imgrec_controller_start_failures_total"));
  EXPECT_THAT(decisions_.latest(1).at(0).why, HasSubstr("ended right after their start"));
  for (int i = 0; i < 30; ++i) rounds(1);  // the next one is left alone, and runs
  stop();
  const std::string log = testing::internal::GetCapturedStderr();
  const std::string line = "instances end right after their start";
  const auto first = log.find(line);
  ASSERT_NE(first, std::string::npos) << log;
  EXPECT_EQ(log.find(line, first + 1), std::string::npos) << "once";
  EXPECT_THAT(log, HasSubstr("Download it again."));
  EXPECT_THAT(log, HasSubstr("instances start again"));
}

TEST_F(ControllerTest, RefusesRulesThatContradictThemselves) {
  const auto error_of = [&](auto change) {
    ControllerConfig config = kConfig;
    change(config);
    const auto outcome = run_controller(config,
                                        {.requests = queue_,
                                         .fleet = fleet_,
                                         .clock = clock_,
                                         .rng = rng_,
                                         .metrics = metrics_,
                                         .decisions = decisions_,
                                         .series = series_},
                                        {});
    return outcome ? std::string("no error") : outcome.error().code;
  };
  EXPECT_EQ(error_of([](auto& config) { config.max = 0; }), "bad_scaling_rules");
  EXPECT_EQ(error_of([](auto& config) { config.min = -1; }), "bad_scaling_rules");
  EXPECT_EQ(error_of([](auto& config) { config.min = 5; }), "bad_scaling_rules");
  EXPECT_EQ(error_of([](auto& config) { config.interval = Millis(0); }), "bad_scaling_rules");
  EXPECT_EQ(error_of([](auto& config) { config.max_dollars_per_hour = 1; }), "bad_scaling_rules") << "no price";
  EXPECT_EQ(error_of([](auto& config) {
              config.max_dollars_per_hour = 1;
              config.price = 2;
            }),
            "bad_scaling_rules");
  EXPECT_EQ(error_of([](auto& config) {
              config.max_dollars_per_hour = 1;
              config.price = 0.5;
              config.prices = {{"c7i.large", 0.25}, {"c7i.4xlarge", 2}};
            }),
            "bad_scaling_rules")
      << "the dearest may be launched";
  EXPECT_EQ(error_of([](auto& config) { config.policy = "cpu"; }), "no_such_policy");
}

}  // namespace
}  // namespace imgrec::controller_test
