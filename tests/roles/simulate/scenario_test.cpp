#include "roles/simulate/scenario.hpp"

#include <gtest/gtest.h>

namespace imgrec::simulate::scenario_test {
namespace {

const WorkerKind kReference = *find_worker_kind("reference");

std::string mistake(const std::string& text) {
  const auto scenario = parse_scenario(text, "test.toml", kReference);
  if (scenario) return "none";
  EXPECT_EQ(scenario.error().kind, ErrorKind::invalid);
  return scenario.error().message;
}

TEST(Scenario, AllThatArePartOfTheProgramAreRight) {
  EXPECT_GE(scenario_files().size(), 11U);
  for (const WorkerKind& kind : worker_kinds()) {
    for (const ScenarioFile& file : scenario_files()) {
      const auto scenario = load_scenario(file.name, kind);
      ASSERT_TRUE(scenario) << scenario.error().message;
      EXPECT_EQ(scenario->name, file.name);
      EXPECT_FALSE(scenario->about.empty());
      EXPECT_FALSE(scenario->arrivals.empty());
    }
  }
}

TEST(Scenario, LoadsCanBeSaidInMachines) {
  constexpr auto kText = R"(
duration = "1h"
machines_max = { reference = 450, fast = 20 }
[[arrivals]]
rate_machines = 10
rate_end_machines = 20
)";
  const auto reference = parse_scenario(kText, "dir/load.toml", kReference);
  ASSERT_TRUE(reference) << reference.error().message;
  EXPECT_EQ(reference->name, "load");
  EXPECT_EQ(reference->machines_max, 450);
  EXPECT_NEAR(reference->arrivals.at(0).rate_begin, 8, 1e-9);
  EXPECT_NEAR(reference->arrivals.at(0).rate_end, 16, 1e-9);
  EXPECT_EQ(reference->arrivals.at(0).to_s, 3'600) << "to the end";
  EXPECT_EQ(parse_scenario(kText, "load.toml", *find_worker_kind("fast"))->machines_max, 20);
}

TEST(Scenario, FaultsHoldInTheirTimeAndTogether) {
  const auto scenario = parse_scenario(R"(
duration = "1h"
[[faults]]
from = "10s"
to = "20s"
capacity = 5
[[faults]]
from = "15s"
capacity = 3
unreadable = 0.5
controller_down = true
)",
                                       "test.toml", kReference);
  ASSERT_TRUE(scenario) << scenario.error().message;
  EXPECT_FALSE(scenario->faults_at(9).capacity);
  EXPECT_EQ(scenario->faults_at(10).capacity, 5);
  EXPECT_EQ(scenario->faults_at(16).capacity, 3);
  EXPECT_TRUE(scenario->faults_at(16).controller_down);
  EXPECT_EQ(scenario->faults_at(3'000).unreadable, 0.5);
}

TEST(Scenario, MistakesAreToldWithTheirLine) {
  EXPECT_EQ(mistake("duration = \"1h\""), "none");
  EXPECT_NE(mistake("").find("duration"), std::string::npos);
  EXPECT_NE(mistake("duration = \"1h\"\nmax = 3").find("test.toml:2: there is nothing called max"), std::string::npos);
  EXPECT_NE(mistake("duration = 3600").find("duration"), std::string::npos);
  EXPECT_NE(mistake("duration = \"-1h\"").find("duration"), std::string::npos);
  EXPECT_NE(mistake("duration = \"1h\"\n[[arrivals]]\nimages = -1").find("test.toml:3: images"), std::string::npos);
  EXPECT_NE(mistake("duration = \"1h\"\n[[faults]]\nunreadable = 2").find("unreadable"), std::string::npos);
  EXPECT_NE(mistake("duration = \"1h\"\n[arrivals]\nimages = 1").find("[[arrivals]]"), std::string::npos);
  EXPECT_NE(mistake("duration = \"1h\"\nmachines_max = { slow = 1 }").find("machines_max"), std::string::npos);
  EXPECT_NE(mistake("duration = \"1h\"\n[[workers]]\nslots = 1").find("[workers]"), std::string::npos);
  EXPECT_NE(mistake("duration = \"1h\"\n[workers]\nslot = 1").find("test.toml:3: there is nothing called slot"),
            std::string::npos);
  EXPECT_NE(mistake("duration = \"1h\"\n[workers]\nslots = 0").find("slots"), std::string::npos);
  EXPECT_NE(mistake("duration = \"1h\"\n[service]\nlook = 1").find("look"), std::string::npos);
  EXPECT_NE(mistake("duration = \"1h\"\n[[arrivals]]\nat_s = [1, \"2\"]").find("at_s"), std::string::npos);
  EXPECT_NE(mistake("duration = ").find("test.toml:1"), std::string::npos);
  const auto unknown = load_scenario("no-such", kReference);
  ASSERT_FALSE(unknown);
  EXPECT_NE(unknown.error().message.find("burst-100"), std::string::npos) << "it names those there are";
}

}  // namespace
}  // namespace imgrec::simulate::scenario_test
