#include "lib/job/service_status.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace imgrec::service_status_test {
namespace {

const WallTime kAt{Seconds(1'790'000'000)};

ServiceStatus full() {
  ServiceStatus status{.at = kAt + Millis(250), .controller = "abcd", .policy = "depth"};
  status.every = Millis(5'000);
  status.at_least = Millis(60'000);
  status.queue = {.visible = 12, .in_flight = 3, .delayed = 1, .oldest_age = Millis(4'200)};
  status.counts = {.booting = 1, .ready = 0, .busy = 1, .draining = 0};
  status.machines = {{.id = "i-1",
                      .app_tier_id = "app-tier-1",
                      .type = "c7i.large",
                      .state = MachineState::busy,
                      .launched_at = kAt - Seconds(90),
                      .images = 17,
                      .busy_share = 0.75},
                     {.id = "i-2", .app_tier_id = "app-tier-2", .type = {}, .launched_at = kAt}};
  status.wanted = 2;
  status.why = "15 messages, at most 2 workers";
  status.error = "no \"capacity\"";
  status.arrivals_per_s = 1.5;
  status.boot_s = 41.5;
  status.boots = {{.image = "ami-1", .times_s = {93.5, 120}}, {.image = "", .times_s = {41.5}}};
  status.cost = {.since = kAt - Seconds(3600), .machine_seconds = 1'800, .dollars_per_hour = 0.5, .dollars = 0.75};
  status.decisions = {{.at = kAt, .wanted = 2, .launch = 1, .why = "more work", .error = "no capacity"},
                      {.at = kAt - Seconds(90), .terminate = 3, .why = "idle", .error = {}}};
  status.samples = {{.at = kAt - Seconds(1), .values = {1, 2, 3, 4.5, 1, 0, 1, 0, 2, 1'799}},
                    {.at = kAt, .values = {}}};
  status.samples[1].values.fill(std::numeric_limits<double>::quiet_NaN());
  return status;
}

TEST(ServiceStatus, SurvivesTheStore) {
  const ServiceStatus status = full();
  const auto parsed = parse_service_status(to_json(status));
  ASSERT_TRUE(parsed) << describe(parsed.error());
  EXPECT_EQ(parsed->at, status.at);
  EXPECT_EQ(parsed->every, status.every);
  EXPECT_EQ(parsed->at_least, status.at_least);
  EXPECT_FALSE(parsed->ended);
  EXPECT_EQ(parsed->controller, "abcd");
  EXPECT_EQ(parsed->policy, "depth");
  EXPECT_EQ(parsed->queue, status.queue);
  EXPECT_EQ(parsed->counts, status.counts);
  EXPECT_EQ(parsed->machines, status.machines);
  EXPECT_EQ(parsed->wanted, status.wanted);
  EXPECT_EQ(parsed->why, status.why);
  EXPECT_EQ(parsed->error, status.error);
  EXPECT_EQ(parsed->arrivals_per_s, status.arrivals_per_s);
  EXPECT_EQ(parsed->boot_s, status.boot_s);
  EXPECT_EQ(parsed->boots, status.boots);
  EXPECT_EQ(parsed->cost.since, status.cost.since);
  EXPECT_DOUBLE_EQ(parsed->cost.dollars, 0.75);
  EXPECT_EQ(parsed->decisions, status.decisions);
  ASSERT_EQ(parsed->samples.size(), 2U);
  EXPECT_EQ(parsed->samples[0].at, status.samples[0].at);
  EXPECT_EQ(parsed->samples[0].values, status.samples[0].values);
  for (const double value : parsed->samples[1].values) EXPECT_TRUE(std::isnan(value));
}

TEST(ServiceStatus, BootsHaveAMeanAndASlowest) {
  const BootStatus boots{.image = "ami-1", .times_s = {90, 30, 60}};
  EXPECT_DOUBLE_EQ(boots.mean_s(), 60);
  EXPECT_DOUBLE_EQ(boots.slowest_s(), 90);
}

TEST(ServiceStatus, OfAnEarlierVersionCostsOnePriceForAll) {
  std::string document = to_json(full());
  const std::string dollars = ",\"dollars\":0.75";
  ASSERT_NE(document.find(dollars), std::string::npos) << document;
  document.erase(document.find(dollars), dollars.size());
  EXPECT_DOUBLE_EQ(parse_service_status(document)->cost.dollars, 0.25);
}

TEST(ServiceStatus, WhatCouldNotBeReadIsAbsent) {
  ServiceStatus status{.at = kAt, .controller = {}, .policy = {}};
  status.ended = true;
  const auto parsed = parse_service_status(to_json(status));
  ASSERT_TRUE(parsed);
  EXPECT_TRUE(parsed->ended);
  EXPECT_FALSE(parsed->queue);
  EXPECT_FALSE(parsed->counts);
  EXPECT_FALSE(parsed->wanted);
  EXPECT_FALSE(parsed->arrivals_per_s);
  EXPECT_FALSE(parsed->boot_s);
}

TEST(ServiceStatus, IsBounded) {
  ServiceStatus status = full();
  status.machines.resize(2'000, status.machines[0]);
  status.boots =
      std::vector<BootStatus>(9, {.image = std::string(30, 'a'), .times_s = std::vector<double>(99, 93.125)});
  status.decisions.resize(500, {.at = kAt, .why = std::string(500, 'x'), .error = std::string(500, 'y')});
  const std::string json = to_json(status);
  EXPECT_LT(json.size(), kServiceStatusBytesMax);
  EXPECT_EQ(parse_service_status(json)->machines.size(), ServiceStatus::kMachinesMax);
  EXPECT_EQ(parse_service_status(json)->boots.size(), ServiceStatus::kBootsMax);
  EXPECT_EQ(parse_service_status(json)->boots[0].times_s.size(), ServiceStatus::kBootTimesMax);
}

TEST(ServiceStatus, ReadsNothingElse) {
  for (const char* text :
       {"", "{}", "[]", "null", R"({"v":1})", R"({"v":1,"at":7})", R"({"v":2,"at":"2026-11-22T08:15:30Z"})"}) {
    const auto parsed = parse_service_status(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code, "bad_service_status");
  }
  // What no boot takes is left out, and an image without any.
  const auto boots = parse_service_status(
      R"({"v":1,"at":"2026-11-22T08:15:30Z","boots":[{"image":"a","times_s":[-1,1e300,"x",7.5]},{"image":"b","times_s":[-1]},{"image":"c"},4]})");
  EXPECT_EQ(boots->boots, (std::vector<BootStatus>{{.image = "a", .times_s = {7.5}}}));
  // Members of other types count as missing.
  const auto odd = parse_service_status(
      R"({"v":1,"at":"2026-11-22T08:15:30Z","queue":7,"machines":[3,{"id":"i"}],"decisions":{},"samples":[],"every_ms":-4})");
  ASSERT_TRUE(odd);
  EXPECT_TRUE(odd->machines.empty());
  EXPECT_TRUE(odd->samples.empty());
  EXPECT_EQ(odd->every, Millis(1'000));
}

}  // namespace
}  // namespace imgrec::service_status_test
