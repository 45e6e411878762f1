#include "lib/config/settings.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "tests/lib/config/sample_values.hpp"

namespace imgrec::settings_test {
namespace {

using testing::HasSubstr;

TEST(Settings, EveryOneHasKeyHelpFlagAndARule) {
  for (const Setting& setting : settings()) {
    EXPECT_FALSE(setting.help.empty()) << setting.key;
    EXPECT_FALSE(setting.allowed.empty()) << setting.key;
    EXPECT_NE(setting.commands, 0U) << setting.key;
    ASSERT_FALSE(setting.flags.empty()) << setting.key;
    EXPECT_TRUE(setting.is_switch || !setting.value_name.empty()) << setting.key;
    EXPECT_EQ(find_setting(setting.key), &setting);
  }
  EXPECT_EQ(find_setting("web.prot"), nullptr);
}

TEST(Settings, NamesAreDerivedFromTheKey) {
  const Setting* setting = find_setting("web.body_bytes_max");
  ASSERT_NE(setting, nullptr);
  EXPECT_EQ(setting->environment_name(), "IMGREC_WEB_BODY_BYTES_MAX");
  EXPECT_EQ(setting->flags.back(), "--web-body-bytes-max");
  EXPECT_EQ(find_setting("state_dir")->environment_name(), "IMGREC_STATE_DIR");
}

TEST(Settings, NaturalFlags) {
  const std::map<std::string, std::string> wanted = {{"web.port", "--port"},
                                                     {"model.name", "--model"},
                                                     {"worker.threads", "--threads"},
                                                     {"state_dir", "--state-dir"},
                                                     {"model.top_k", "--top-k"},
                                                     {"controller.max", "--max-workers"},
                                                     {"log.format", "--log-format"},
                                                     {"log.level", "--log-level"},
                                                     {"model.labels", "--labels"},
                                                     {"worker.exit_when_idle", "--exit-when-idle"},
                                                     {"controller.dry_run", "--dry-run"}};
  for (const auto& [key, flag] : wanted) EXPECT_EQ(find_setting(key)->flags.front(), flag);
}

TEST(Settings, NoTwoShareAKeyAnEnvironmentNameOrAFlagOfOneCommand) {
  std::set<std::string> keys, names;
  for (const Setting& setting : settings()) {
    EXPECT_TRUE(keys.insert(setting.key).second) << setting.key;
    EXPECT_TRUE(names.insert(setting.environment_name()).second) << setting.environment_name();
    EXPECT_FALSE(is_internal_variable(setting.environment_name()));
  }
  for (const CommandBit command : {kWebCommand, kWorkerCommand, kControllerCommand, kLocalCommand, kClassifyCommand,
                                   kModelCommand, kConfigCommand}) {
    std::set<std::string> flags = {"--config", "--help"};
    for (const Setting& setting : settings()) {
      for (const std::string& flag : flags_of(setting, command)) EXPECT_TRUE(flags.insert(flag).second) << flag;
    }
  }
}

TEST(Settings, ConfigShowTakesEverySettingsDerivedFlag) {
  for (const Setting& setting : settings()) {
    EXPECT_THAT(flags_of(setting, kConfigCommand), testing::Contains(setting.flags.back())) << setting.key;
  }
}

TEST(Settings, EveryOneRoundTripsAndIsItsOwn) {
  for (const Setting& setting : settings()) {
    Config config;
    const std::string other = test::other_value(setting);
    ASSERT_TRUE(setting.set(config, other)) << setting.key << " = " << other;
    EXPECT_EQ(setting.get(config), other) << setting.key;
    // Nothing else moved: two settings that share a member would show here.
    for (const Setting& another : settings()) {
      if (&another == &setting) continue;
      EXPECT_EQ(another.get(config), another.get(Config())) << setting.key << " changed " << another.key;
    }
    ASSERT_TRUE(setting.get(Config()).empty() || setting.set(config, setting.get(Config()))) << setting.key;
  }
}

TEST(Settings, DefaultsAreAllowed) {
  for (const Setting& setting : settings()) {
    Config config;
    EXPECT_TRUE(setting.set(config, setting.get(Config()))) << setting.key;
  }
  EXPECT_TRUE(validate(Config()));
}

TEST(Settings, NumbersOutsideTheirRangeAreRefusedAndChangeNothing) {
  const std::map<std::string, std::vector<std::string>> wrong = {
      {"web.port", {"65536", "-1", "8000x", "", "80.5", "0x50"}},
      {"web.threads", {"0", "257"}},
      {"model.top_k", {"0", "1001"}},
      {"image.bytes_max", {"1023", "1025MiB", "many"}},
      {"queue.visibility", {"999ms", "13h", "-1s"}},
      {"worker.poll_wait", {"20001ms", "1m"}},
      {"worker.exit_when_idle", {"1500ms"}},  // kept in whole seconds
      {"queue.fifo", {"maybe", "yes please", "2"}},
      {"log.level", {"loud", ""}},
      {"queue.request", {"", "a.b", "a/b", "a b"}},
      {"web.bind", {"", "localhost; rm", "example.org"}},
      {"state_dir", {"a\nb", std::string("a\0b", 3)}},
      {"web.node", {"../x", "a.b"}},
      {"model.name", {"", "../../etc"}},
      {"aws.region", {"US-EAST-1", "us east", "evil.example.org/"}},
      {"aws.endpoint_url", {"sqs.example.org", "ftp://x", "https://", "http://a b", "http://user@host"}},
      {"aws.queues", {"", "make", "Create"}},
      {"aws.input_bucket", {"ab", "Bucket", "a_b_c"}},
      {"aws.input_prefix", {"team", "/team/", "a//b/", "../x/"}},
      {"aws.bundle_key", {"/x", "x/", "a b"}},
      {"aws.bundle_sha256", {std::string(63, 'a'), std::string(64, 'A'), std::string(64, 'g')}},
      {"aws.instance_types", {"c7i", "c7i.large;c7a.large", "C7i.large"}},
      {"controller.prices",
       {"c7i.large", "0.1", "c7i.large=", "c7i.large=x", "c7i.large=-1", "c7i.large=nan", "c7i.large=2000000",
        "c7i.large=1;c7a.large=1", "c7i.large=1,c7i.large=2", "C7i.large=1", "c7i=1"}},
      {"aws.subnets", {"subnet 1", "subnet-1\nsubnet-2"}},
      {"aws.tags", {"team", "=x", "aws:x=1", "imgrec:fleet=other", "a=b\nc=d"}},
      {"aws.worker_memory_percent", {"9", "101"}}};
  for (const auto& [key, values] : wrong) {
    for (const std::string& value : values) {
      Config config;
      EXPECT_FALSE(find_setting(key)->set(config, value)) << key << " = " << value;
      EXPECT_EQ(find_setting(key)->get(config), find_setting(key)->get(Config())) << key;
    }
  }
}

TEST(Settings, SecretsAreMasked) {
  Setting secret = *find_setting("web.node");
  Config config;
  config.web.node = std::string(40, 's');
  EXPECT_EQ(shown_value(secret, config), config.web.node);
  secret.secret = true;
  EXPECT_EQ(shown_value(secret, config), "**40**");
  EXPECT_EQ(shown_value(secret, Config()), "");
}

TEST(Validate, RulesBetweenSettings) {
  const auto message_of = [](auto change) {
    Config config;
    change(config);
    const auto valid = validate(config);
    return valid ? std::string("valid") : valid.error().message;
  };
  EXPECT_THAT(message_of([](Config& c) { c.controller.min = 3, c.controller.max = 2; }), HasSubstr("controller.min"));
  EXPECT_EQ(message_of([](Config& c) { c.controller.min = 3; }), "valid");  // the maximum is not said
  EXPECT_THAT(message_of([](Config& c) { c.image.bytes_max = 65 * kMiB; }), HasSubstr("web.body_bytes_max"));
  EXPECT_THAT(message_of([](Config& c) { c.web.body_bytes_max = 600 * kMiB; }), HasSubstr("web.buffered_bytes_max"));
  EXPECT_THAT(message_of([](Config& c) { c.local.retention = Seconds(60); }), HasSubstr("web.wait_max"));
  EXPECT_EQ(message_of([](Config& c) { c.local.retention = Seconds(0); }), "valid");
  EXPECT_THAT(message_of([](Config& c) { c.queue.dead_letter = c.queue.request; }), HasSubstr("two names"));
  EXPECT_THAT(message_of([](Config& c) { c.queue.request = "imgrec-responses-1"; }), HasSubstr("response queues"));
  EXPECT_THAT(message_of([](Config& c) { c.queue.response_prefix = std::string(40, 'r'); }), HasSubstr("39"));
}

TEST(Validate, RulesOfAws) {
  Config config;
  config.aws.tags = "team=a,team=b";
  EXPECT_THAT(validate(config).error().message, HasSubstr("\"team\" twice"));
}

TEST(InternalVariables, AreTheDocumentedOnes) {
  for (const char* name : {"IMGREC_CONFIG", "IMGREC_PARENT_FD", "IMGREC_READY_FD", "IMGREC_BINARY", "IMGREC_BUILD_DIR",
                           "IMGREC_SHARED", "IMGREC_REQUIRE_SHARED", "IMGREC_TEST_ANYTHING"}) {
    EXPECT_TRUE(is_internal_variable(name)) << name;
  }
  EXPECT_FALSE(is_internal_variable("IMGREC_WEB_PORT"));
  EXPECT_FALSE(is_internal_variable("IMGREC_CONFIGS"));
}

TEST(Settings, CorsOriginsAreOriginsOrAny) {
  Config config;
  const Setting& setting = *find_setting("web.cors_origins");
  for (const char* good : {"", "*", "https://app.example", "http://localhost:3000, https://app.example"}) {
    EXPECT_TRUE(setting.set(config, good)) << good;
  }
  for (const char* bad : {"app.example", "https://app.example/path", "*,https://app.example", "https://a,", "null"}) {
    EXPECT_FALSE(setting.set(config, bad)) << bad;
  }
}

}  // namespace
}  // namespace imgrec::settings_test
