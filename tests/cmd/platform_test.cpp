#include "cmd/platform/platform.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>

#include "cmd/platform/platforms.hpp"
#include "cmd/platform/resolve.hpp"
#include "lib/base/cpu.hpp"
#include "lib/base/environment.hpp"
#include "lib/queues/queues.hpp"
#include "tests/support/fake_clock.hpp"
#include "tests/support/memory_store.hpp"
#include "tests/support/temp_dir.hpp"

namespace imgrec::platform_test {
namespace {

class PlatformTest : public testing::Test {
 protected:
  PlatformTest() {
    config_.state_dir = (folder_.path() / "deep" / "state").string();
    EXPECT_TRUE(resolve(config_, {}));
  }
  test::TempDir folder_;
  Config config_;
  test::SeededRng rng_;
};

TEST_F(PlatformTest, AMessageAndAnObjectSurviveARestart) {
  {
    auto platform = make_platform(config_, system_clock(), rng_);
    ASSERT_TRUE(platform) << platform.error().message;
    const OutgoingMessage message{.body = "hello", .group_id = {}, .dedup_id = {}};
    ASSERT_TRUE(platform->requests->send({&message, 1}, Deadline::in(system_clock(), Seconds(10))));
    ASSERT_TRUE(platform->inputs->put(ObjectKey("inputs/a"), "bytes", {}));
  }
  auto platform = make_platform(config_, system_clock(), rng_);
  ASSERT_TRUE(platform);
  const auto received = platform->requests->receive({.messages_max = 10}, {});
  ASSERT_TRUE(received);
  ASSERT_EQ(received->size(), 1U);
  EXPECT_EQ(received->front().body, "hello");
  EXPECT_EQ(test::bytes_of(platform->outputs->get(ObjectKey("inputs/a"), 100)), "bytes");
}

TEST_F(PlatformTest, TheStateFolderIsItsOwnersAlone) {
  ASSERT_TRUE(make_platform(config_, system_clock(), rng_));
  EXPECT_EQ(std::filesystem::status(config_.state_dir).permissions(), std::filesystem::perms::owner_all);
}

TEST_F(PlatformTest, ResponseQueuesAreMadeAndOthersAreNot) {
  auto platform = make_platform(config_, system_clock(), rng_);
  ASSERT_TRUE(platform);
  EXPECT_TRUE(platform->queues->open(queue_name(config_, QueueKind::responses)));
  EXPECT_TRUE(platform->queues->open("imgrec-responses-another"));
  EXPECT_FALSE(platform->queues->open("somebody-elses"));
}

TEST_F(PlatformTest, PoisonThatKillsWorkersIsDeadLetteredByTheQueue) {
  config_.queue.receives_max = 4;  // the distant backstop, brought near
  auto platform = make_platform(config_, system_clock(), rng_);
  ASSERT_TRUE(platform);
  const OutgoingMessage message{.body = "poison", .group_id = {}, .dedup_id = {}};
  ASSERT_TRUE(platform->requests->send({&message, 1}, Deadline::in(system_clock(), Seconds(10))));
  int deliveries = 0;
  for (int i = 0; i < 10; ++i) {
    // A worker that dies lets its lease end; one that returns the message was no delivery.
    const auto received =
        platform->requests->receive({.messages_max = 1, .wait = Millis(500), .visibility = Millis(1)}, {});
    ASSERT_TRUE(received);
    if (received->empty()) break;
    ++deliveries;
  }
  EXPECT_EQ(deliveries, 4);
  const auto dead = platform->dead_letters->receive({.messages_max = 1}, {});
  ASSERT_TRUE(dead);
  ASSERT_EQ(dead->size(), 1U);
  EXPECT_EQ(dead->front().body, "poison");
}

TEST_F(PlatformTest, APlatformThatDoesNotExistIsAnError) {
  config_.platform = "azure";
  const auto platform = make_platform(config_, system_clock(), rng_);
  ASSERT_FALSE(platform);
  EXPECT_EQ(platform.error().code, "no_such_platform");
}

TEST_F(PlatformTest, AwsNeedsABucket) {
  config_.platform = "aws";
  const auto platform = make_platform(config_, system_clock(), rng_);
  ASSERT_FALSE(platform);
  EXPECT_EQ(platform.error().code, "no_bucket");
  EXPECT_THAT(platform.error().message, testing::HasSubstr("--input-bucket"));
}

TEST_F(PlatformTest, WithoutHomeTheUserDatabaseSaysWhereAwsFilesAre) {
  const std::string kept = environment_variable("HOME").value_or("");
  ::unsetenv("HOME");
  ::setenv("AWS_CA_BUNDLE", "~/no-such-folder/ca.pem", 1);
  const auto session = open_aws_session(config_, system_clock(), rng_);
  ::unsetenv("AWS_CA_BUNDLE");
  ::setenv("HOME", kept.c_str(), 1);
  ASSERT_FALSE(session);
  const auto found = (std::filesystem::path(home_of_user()) / "no-such-folder/ca.pem").string();
  EXPECT_TRUE(found.starts_with('/'));
  EXPECT_THAT(session.error().message, testing::HasSubstr(" " + found + ":"));
}

TEST(PlatformDefaults, HoldWhereNothingElseIsSaid) {
  auto loaded = load_config({.file = {},
                             .environment = {{"IMGREC_PLATFORM", "aws"}},
                             .flags = {{"controller.interval", "--interval", "7s"}}});
  ASSERT_TRUE(loaded);
  apply_platform_defaults(*loaded);
  EXPECT_EQ(loaded->config.controller.interval, Seconds(7));
  EXPECT_EQ(loaded->config.controller.max, 2);
  EXPECT_EQ(loaded->origin("controller.max"), "default on aws");
  auto local = load_config({.file = {}, .environment = {}, .flags = {}});
  apply_platform_defaults(*local);
  EXPECT_EQ(local->config.controller.max, 0);
  EXPECT_TRUE(local->origins.empty());
}

TEST(PlatformDefaults, AreAllowed) {
  for (const auto& [key, value] : platform_defaults("aws")) {
    Config config;
    const Setting* setting = find_setting(key);
    ASSERT_NE(setting, nullptr) << key;
    EXPECT_TRUE(setting->set(config, value)) << key;
    EXPECT_EQ(setting->get(config), value) << key;
    EXPECT_TRUE(validate(config)) << key;
  }
}

// configs/aws.toml names every setting of [aws] with its default, those whose default is another one on AWS, and those
// that bound what machines cost.
TEST(SampleOfAws, NamesEverySettingWithItsDefault) {
  const std::filesystem::path sample(IMGREC_SAMPLE_CONFIG_AWS);
  const auto as_it_is = load_config({.file = sample, .environment = {}, .flags = {}});
  ASSERT_TRUE(as_it_is) << as_it_is.error().message;
  EXPECT_EQ(as_it_is->config.platform, "aws");
  EXPECT_EQ(as_it_is->origins.size(), 1U) << "only the platform is set";
  std::ifstream in(sample);
  std::string active;
  for (std::string line; std::getline(in, line);) {
    active += std::regex_replace(line, std::regex("^#([a-z0-9_]+ = )"), "$1") + "\n";
  }
  const test::TempDir folder;
  std::ofstream(folder.path() / "active.toml") << active;
  const auto loaded = load_config({.file = folder.path() / "active.toml", .environment = {}, .flags = {}});
  ASSERT_TRUE(loaded) << loaded.error().message;
  std::map<std::string, std::string> wanted = {{"platform", "aws"}};
  for (const Setting& setting : settings()) {
    const bool bounds_costs = setting.key == "controller.prices" || setting.key == "controller.max_dollars_per_hour";
    if (setting.key.starts_with("aws.") || setting.key.starts_with("deploy.") || bounds_costs)
      wanted[setting.key] = setting.get(Config());
  }
  for (const auto& [key, value] : platform_defaults("aws")) wanted[std::string(key)] = value;
  std::map<std::string, std::string> found;
  for (const auto& [key, origin] : loaded->origins) found[key] = find_setting(key)->get(loaded->config);
  EXPECT_EQ(found, wanted);
}

TEST_F(PlatformTest, AChildsEnvironmentGivesItTheSameSettings) {
  config_.local.worker_threads = 3;
  config_.image.bytes_max = 30 * kMiB;
  config_.web.body_bytes_max = 90 * kMiB;
  config_.queue.fifo = true;
  Environment environment;
  for (const auto& [name, value] : worker_environment(config_)) environment[name] = value;
  EXPECT_EQ(environment.count("IMGREC_WORKER_ID"), 0U);
  auto child = load_config({.file = {}, .environment = environment, .flags = {}});
  ASSERT_TRUE(child) << child.error().message;
  EXPECT_EQ(child->config.worker.threads, 3);
  EXPECT_EQ(child->config.metrics.port, "off");
  EXPECT_EQ(child->config.metrics.dir, config_.state_dir + "/metrics");
  for (const Setting& setting : settings()) {
    if (setting.key == "worker.threads" || setting.key == "metrics.dir") continue;
    EXPECT_EQ(setting.get(child->config), setting.get(config_)) << setting.key;
  }
}

TEST_F(PlatformTest, AChildWorkerUsesLargePagesUnlessTheUserSaysOtherwise) {
  const auto tunables = [&] {
    const auto variables = worker_environment(config_);
    const auto found = std::ranges::find(variables, "GLIBC_TUNABLES", [](const auto& one) { return one.first; });
    return found == variables.end() ? "" : found->second;
  };
  const auto kept = environment_variable("GLIBC_TUNABLES");
  ::unsetenv("GLIBC_TUNABLES");
  EXPECT_EQ(tunables(), "glibc.malloc.hugetlb=1");
  ::setenv("GLIBC_TUNABLES", "glibc.malloc.perturb=1", 1);
  EXPECT_EQ(tunables(), "glibc.malloc.perturb=1");
  ::unsetenv("GLIBC_TUNABLES");
  if (kept) ::setenv("GLIBC_TUNABLES", kept->c_str(), 1);
}

TEST(Resolve, FillsInWhatDependsOnTheMachine) {
  Config config;
  config.state_dir = "some/../folder";
  config.controller.min = usable_cores() + 3;
  config.web.port = 1234;
  ASSERT_TRUE(resolve(config, {}));
  EXPECT_TRUE(std::filesystem::path(config.state_dir).is_absolute());
  EXPECT_THAT(config.state_dir, testing::EndsWith("/folder"));
  EXPECT_EQ(config.model.dir, config.state_dir + "/models");
  EXPECT_EQ(config.worker.threads, usable_cores());
  EXPECT_EQ(config.classify.threads, usable_cores());
  EXPECT_EQ(config.controller.max, usable_cores() + 3);
  EXPECT_THAT(config.web.node, testing::MatchesRegex("[A-Za-z0-9-]+-1234"));
  EXPECT_TRUE(validate(config));
}

TEST(Resolve, KeepsWhatWasGiven) {
  Config config;
  config.state_dir = "/srv/state";
  config.model.dir = "/srv/models";
  config.web.node = "east";
  config.controller.max = 7;
  config.worker.threads = 8;
  ASSERT_TRUE(resolve(config, {}));
  EXPECT_EQ(config.model.dir, "/srv/models");
  EXPECT_EQ(queue_name(config, QueueKind::responses), "imgrec-responses-east");
  EXPECT_EQ(config.controller.max, 7);
  EXPECT_EQ(config.worker.threads, 8);
}

}  // namespace
}  // namespace imgrec::platform_test
