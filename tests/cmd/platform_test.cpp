#include "cmd/platform.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "cmd/resolve.hpp"
#include "lib/base/cpu.hpp"
#include "tests/support/fake_clock.hpp"
#include "tests/support/temp_dir.hpp"

namespace imgrec {
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
  EXPECT_EQ(platform->outputs->get(ObjectKey("inputs/a"), 100), "bytes");
}

TEST_F(PlatformTest, TheStateFolderIsItsOwnersAlone) {
  ASSERT_TRUE(make_platform(config_, system_clock(), rng_));
  EXPECT_EQ(std::filesystem::status(config_.state_dir).permissions(), std::filesystem::perms::owner_all);
}

TEST_F(PlatformTest, ResponseQueuesAreMadeAndOthersAreNot) {
  auto platform = make_platform(config_, system_clock(), rng_);
  ASSERT_TRUE(platform);
  EXPECT_TRUE(platform->queues->open(response_queue_name(config_)));
  EXPECT_TRUE(platform->queues->open("imgrec-responses-another"));
  EXPECT_FALSE(platform->queues->open("somebody-elses"));
}

TEST_F(PlatformTest, PoisonThatKillsWorkersIsDeadLetteredByTheQueue) {
  config_.queue.receives_max = 1;
  auto platform = make_platform(config_, system_clock(), rng_);
  ASSERT_TRUE(platform);
  const OutgoingMessage message{.body = "poison", .group_id = {}, .dedup_id = {}};
  ASSERT_TRUE(platform->requests->send({&message, 1}, Deadline::in(system_clock(), Seconds(10))));
  int deliveries = 0;
  for (int i = 0; i < 10; ++i) {
    const auto received = platform->requests->receive({.messages_max = 1}, {});
    ASSERT_TRUE(received);
    if (received->empty()) break;
    ++deliveries;
    ASSERT_TRUE(platform->requests->extend({&received->front().receipt, 1}, Millis(0)));
  }
  EXPECT_EQ(deliveries, 1 + 3);
  const auto dead = platform->dead_letters->receive({.messages_max = 1}, {});
  ASSERT_TRUE(dead);
  ASSERT_EQ(dead->size(), 1U);
  EXPECT_EQ(dead->front().body, "poison");
}

TEST_F(PlatformTest, OtherPlatformsAreNotInThisBuild) {
  config_.platform = "aws";
  const auto platform = make_platform(config_, system_clock(), rng_);
  ASSERT_FALSE(platform);
  EXPECT_EQ(platform.error().code, "no_such_platform");
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
  for (const Setting& setting : settings()) {
    if (setting.key == "worker.threads") continue;
    EXPECT_EQ(setting.get(child->config), setting.get(config_)) << setting.key;
  }
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
  EXPECT_EQ(response_queue_name(config), "imgrec-responses-east");
  EXPECT_EQ(config.controller.max, 7);
  EXPECT_EQ(config.worker.threads, 8);
}

}  // namespace
}  // namespace imgrec
