// What the controller tells about the service, and how it is published.
#include <gtest/gtest.h>

#include <cmath>

#include "roles/controller/status_book.hpp"
#include "roles/controller/status_publisher.hpp"
#include "tests/support/fake_clock.hpp"
#include "tests/support/memory_store.hpp"
#include "tests/support/wait_until.hpp"

namespace imgrec::status_test {
namespace {

const WallTime kStart{Seconds(1'790'000'000)};

std::string column(const ServiceSample& sample, std::string_view name) {
  const auto found = std::ranges::find(kServiceColumns, name);
  const double value = sample.values[static_cast<std::size_t>(found - kServiceColumns.begin())];
  return std::isnan(value) ? "unknown" : std::to_string(static_cast<int>(value));
}

class StatusBookTest : public testing::Test {
 protected:
  Observation observation(Seconds after) {
    Observation seen{.at = MonoTime(after), .depth = {.visible = 4, .in_flight = 2}, .wall = kStart + after};
    seen.instances = instances_;
    seen.signals = signals_;
    seen.drains = drains_;
    return seen;
  }
  ServiceStatus look(Seconds after, DecisionRecord record = {.wanted = 1, .why = "as it is"}) {
    record.at = kStart + after;
    const Observation seen = observation(after);
    return book_.add(&seen, record);
  }
  ServiceStatus blind(Seconds after) {
    return book_.add(nullptr, {.at = kStart + after, .why = "nothing is decided", .error = "the queue is away"});
  }

  ControllerConfig config_{.boot_time = Millis(40'000), .price = 0.36};
  StatusBook book_{config_, "c-1", /*hears_workers=*/true};
  std::vector<Instance> instances_;
  Signals signals_;
  Drains drains_;
};

TEST_F(StatusBookTest, EachMachineCostsThePriceOfItsType) {
  config_.prices = {{"c7i.large", 0.09}, {"c7i.xlarge", 0.18}};
  const auto of_type = [](std::string type) {
    return Instance{.id = InstanceId(type), .app_tier_id = {}, .type = type, .launched_at = kStart};
  };
  EXPECT_DOUBLE_EQ(look(Seconds(0)).cost.dollars_per_hour, 0.36) << "the dearest that may come";
  instances_ = {of_type("c7i.large"), of_type("c7i.xlarge"), of_type("m7i.large")};
  EXPECT_EQ(look(Seconds(60)).cost.dollars, 0) << "there was none until now";
  instances_.pop_back();
  EXPECT_DOUBLE_EQ(look(Seconds(120)).cost.dollars, (0.09 + 0.18 + 0.36) / 60);
  const ServiceStatus status = look(Seconds(180));
  EXPECT_DOUBLE_EQ(status.cost.dollars, (2 * 0.09 + 2 * 0.18 + 0.36) / 60);
  EXPECT_DOUBLE_EQ(status.cost.dollars_per_hour, (0.09 + 0.18) / 2);
}

TEST_F(StatusBookTest, TellsWhatEachMachineDoes) {
  const auto instance = [](std::string id, InstanceState state, Seconds launched) {
    return Instance{.id = InstanceId(std::move(id)),
                    .state = state,
                    .app_tier_id = {},
                    .type = "c7i.large",
                    .launched_at = kStart + launched};
  };
  instances_ = {instance("idle", InstanceState::running, Seconds(-600)),
                instance("busy", InstanceState::running, Seconds(-600)),
                instance("silent", InstanceState::running, Seconds(-600)),
                instance("confirmed", InstanceState::running, Seconds(-600)),
                instance("starts", InstanceState::running, Seconds(-20)),
                instance("pending", InstanceState::pending, Seconds(-1)),
                instance("stopping", InstanceState::stopping, Seconds(-600))};
  signals_.instances.resize(instances_.size());
  signals_.instances[0] = {.ready_since = MonoTime(), .idle_since = MonoTime(), .busy_share = 0.1, .images = 7};
  signals_.instances[1] = {.ready_since = MonoTime(), .busy_share = 0.9, .images = 70};
  drains_.confirmed = {InstanceId("confirmed")};
  const ServiceStatus status = look(Seconds(0));
  const std::vector<MachineState> wanted = {MachineState::ready,    MachineState::busy,    MachineState::ready,
                                            MachineState::draining, MachineState::booting, MachineState::booting,
                                            MachineState::draining};
  ASSERT_EQ(status.machines.size(), wanted.size());
  for (std::size_t i = 0; i < wanted.size(); ++i) EXPECT_EQ(status.machines[i].state, wanted[i]) << i;
  EXPECT_EQ(status.counts, (ServiceStatus::Counts{.booting = 2, .ready = 2, .busy = 1, .draining = 2}));
  EXPECT_EQ(status.machines[1].type, "c7i.large");
  EXPECT_EQ(status.machines[1].images, 70U);
  EXPECT_FALSE(status.machines[2].images) << "not heard of";
  EXPECT_EQ(status.boot_s, 40) << "assumed while none was measured";
}

TEST_F(StatusBookTest, NoMachineIsBusyWhileNoMessageIsInFlight) {
  instances_ = {{.id = InstanceId("a"),
                 .state = InstanceState::running,
                 .app_tier_id = {},
                 .launched_at = kStart - Seconds(600)}};
  signals_.instances = {{.ready_since = MonoTime(), .busy_share = 0.9}};
  Observation seen = observation(Seconds(0));
  EXPECT_EQ(book_.add(&seen, {.at = kStart}).machines.at(0).state, MachineState::busy);
  seen.depth.in_flight = 0;
  EXPECT_EQ(book_.add(&seen, {.at = kStart + Seconds(1)}).machines.at(0).state, MachineState::ready);
}

TEST_F(StatusBookTest, CountsMachineTimeAndDollars) {
  EXPECT_EQ(look(Seconds(0)).cost.machine_seconds, 0);
  instances_ = {{.id = InstanceId("a"), .app_tier_id = {}}, {.id = InstanceId("b"), .app_tier_id = {}}};
  EXPECT_EQ(look(Seconds(10)).cost.machine_seconds, 0) << "there was none until now";
  EXPECT_EQ(look(Seconds(15)).cost.machine_seconds, 10);
  blind(Seconds(20));
  const ServiceStatus status = look(Seconds(25));
  EXPECT_EQ(status.cost.machine_seconds, 30) << "nobody looked, and they went on";
  EXPECT_DOUBLE_EQ(status.cost.dollars, 30.0 / 3600 * 0.36);
  EXPECT_DOUBLE_EQ(status.cost.dollars_per_hour, 0.36);
  EXPECT_EQ(look(Seconds(25 + 3600)).cost.machine_seconds, 30 + 600) << "nobody looked for an hour: five minutes count";
}

TEST_F(StatusBookTest, WhatCouldNotBeReadIsUnknownAndNot0) {
  look(Seconds(0));
  const ServiceStatus status = blind(Seconds(1));
  EXPECT_FALSE(status.queue);
  EXPECT_FALSE(status.counts);
  EXPECT_FALSE(status.wanted);
  EXPECT_EQ(status.error, "the queue is away");
  ASSERT_EQ(status.samples.size(), 2U);
  EXPECT_EQ(column(status.samples[0], "visible"), "4");
  EXPECT_EQ(column(status.samples[1], "visible"), "unknown");
  EXPECT_EQ(column(status.samples[1], "machine_seconds"), "unknown");
}

TEST_F(StatusBookTest, BootsAreToldAlsoWhenNothingCanBeRead) {
  EXPECT_TRUE(look(Seconds(0)).boots.empty());
  signals_.boots = {{.image = "ami-1", .times = {Millis(93'500), Millis(30'000)}}};
  const std::vector<BootStatus> told = {{.image = "ami-1", .times_s = {93.5, 30}}};
  EXPECT_EQ(look(Seconds(1)).boots, told);
  EXPECT_EQ(blind(Seconds(2)).boots, told) << "the next controller reads them";
}

TEST_F(StatusBookTest, OneSampleASecondAndFiveMinutesOfThem) {
  for (int i = 0; i < 10; ++i) book_.add(nullptr, {.at = kStart + Millis(100 * i)});
  EXPECT_EQ(look(Seconds(1)).samples.size(), 2U);
  for (int i = 2; i < 400; ++i) look(Seconds(i));
  const auto samples = look(Seconds(400)).samples;
  ASSERT_EQ(samples.size(), ServiceStatus::kSamplesMax);
  EXPECT_EQ(samples.front().at, kStart + Seconds(101));
  EXPECT_EQ(samples.back().at, kStart + Seconds(400));
  EXPECT_EQ(look(Seconds(200)).samples.back().at, kStart + Seconds(200)) << "the clock was set back";
}

TEST_F(StatusBookTest, DecisionsAreThoseThatChangeSomething) {
  look(Seconds(0), {.wanted = 0, .why = "nothing to do"});
  look(Seconds(1), {.wanted = 0, .why = "nothing to do for 1 s"});
  look(Seconds(2), {.wanted = 2, .actions = {.launch = 2}, .why = "two messages"});
  look(Seconds(3), {.wanted = 2, .why = "two messages are worked on"});
  const auto decisions = look(Seconds(9), {.wanted = 0, .actions = {.terminate = 2}, .why = "empty"}).decisions;
  ASSERT_EQ(decisions.size(), 3U);
  EXPECT_EQ(decisions[0].why, "empty");
  EXPECT_EQ(decisions[1].launch, 2);
  EXPECT_EQ(decisions[2].at, kStart);
  for (int i = 0; i < 100; ++i) look(Seconds(10 + i), {.wanted = i, .why = "up"});
  EXPECT_EQ(look(Seconds(200)).decisions.size(), ServiceStatus::kDecisionsMax);
}

class StatusPublisherTest : public testing::Test {
 protected:
  std::optional<ServiceStatus> stored() {
    const auto object = store_.get(service_status_key(), kServiceStatusBytesMax);
    if (!object) return std::nullopt;
    return *parse_service_status(object->bytes);
  }
  /// Waits, in real time, until the stored status is that of `at`.
  bool appears(WallTime at) {
    return test::wait_until([&] {
      const auto status = stored();
      return status && status->at == at;
    });
  }
  ServiceStatus status(int visible, double machine_seconds = 0) {
    ServiceStatus made{.at = clock_.wall_now(), .controller = "c-1", .policy = "depth"};
    made.queue.emplace().visible = static_cast<std::uint64_t>(visible);
    made.cost = {
        .since = since_, .machine_seconds = machine_seconds, .dollars_per_hour = 1, .dollars = machine_seconds / 3600};
    made.samples = {{.at = clock_.wall_now(), .values = {}}};
    made.samples[0].values.back() = machine_seconds;
    return made;
  }
  // Time stands still for the publisher until it sleeps.
  void settle(Millis then) {
    clock_.wait_for_sleepers(1);
    clock_.advance(then);
  }

  test::FakeClock clock_;
  const WallTime since_ = clock_.wall_now();
  test::MemoryStore store_{clock_};
};

TEST_F(StatusPublisherTest, PublishesNewsEveryIntervalAndTheSameSeldom) {
  StatusPublisher publisher(store_, clock_, {.interval = Millis(1'000), .at_least = Millis(12'000)});
  publisher.offer(status(1));
  const WallTime first = clock_.wall_now();
  ASSERT_TRUE(appears(first));
  settle(Millis(300));
  publisher.offer(status(2));
  settle(Millis(600));
  publisher.offer(status(3));
  const WallTime news = clock_.wall_now();
  settle(Millis(99));
  clock_.wait_for_sleepers(1);
  EXPECT_EQ(stored()->at, first) << "not before a second has gone by";
  clock_.advance(Millis(1));
  ASSERT_TRUE(appears(news));
  EXPECT_EQ(stored()->queue->visible, 3U) << "the latest";

  settle(Millis(5'000));
  publisher.offer(status(3));
  clock_.wait_for_sleepers(1);
  EXPECT_EQ(stored()->at, news) << "it says the same";
  clock_.advance(Millis(6'000));
  publisher.offer(status(3));
  const WallTime same = clock_.wall_now();
  settle(Millis(1'000));
  EXPECT_TRUE(appears(same));
}

TEST_F(StatusPublisherTest, TheLastOneSaysThatTheControllerHasEnded) {
  {
    StatusPublisher publisher(store_, clock_, {});
    publisher.offer(status(1));
    ASSERT_TRUE(appears(clock_.wall_now()));
    EXPECT_FALSE(stored()->ended);
  }
  EXPECT_TRUE(stored()->ended);
}

TEST_F(StatusPublisherTest, CountsOnWhereTheControllerBeforeItEnded) {
  const WallTime since = clock_.wall_now();
  {
    StatusPublisher publisher(store_, clock_, {});
    publisher.offer(status(1, 100));
  }
  clock_.advance(Seconds(60));
  {
    StatusPublisher publisher(store_, clock_, {});
    publisher.offer(status(1, 5));
    ASSERT_TRUE(appears(clock_.wall_now()));
  }
  EXPECT_EQ(stored()->cost.machine_seconds, 105);
  EXPECT_DOUBLE_EQ(stored()->cost.dollars, 105.0 / 3600);
  EXPECT_EQ(stored()->cost.since, since);
  EXPECT_EQ(stored()->samples.back().values.back(), 105);
}

}  // namespace
}  // namespace imgrec::status_test
