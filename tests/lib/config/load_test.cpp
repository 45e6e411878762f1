#include "lib/config/load.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <regex>
#include <sstream>

#include "tests/lib/config/sample_values.hpp"
#include "tests/support/temp_dir.hpp"

namespace imgrec::load_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class LoadTest : public testing::Test {
 protected:
  std::filesystem::path file(const std::string& text) {
    const auto path = folder_.path() / "imgrec.toml";
    std::ofstream(path) << text;
    return path;
  }
  std::string error_of_file(const std::string& text) {
    const auto loaded = load_config({.file = file(text), .environment = {}, .flags = {}});
    return loaded ? "no error" : loaded.error().code + " " + loaded.error().message;
  }
  static std::string error_of_environment(const Environment& environment) {
    const auto loaded = load_config({.file = {}, .environment = environment, .flags = {}});
    return loaded ? "no error" : loaded.error().code + " " + loaded.error().message;
  }
  test::TempDir folder_;
};

// In TOML, as a person writes it: numbers and booleans bare, everything else in quotes.
std::string toml_line(const Setting& setting, const std::string& value) {
  const bool bare = setting.is_switch || setting.value_name == "NUMBER";
  const std::string text = bare ? value : "\"" + value + "\"";
  const auto dot = setting.key.find('.');
  return dot == std::string::npos
             ? setting.key + " = " + text + "\n"
             : "[" + setting.key.substr(0, dot) + "]\n" + setting.key.substr(dot + 1) + " = " + text;
}

// Some values are only allowed beside others.
void make_room(std::vector<FlagValue>& flags, const Setting& setting) {
  if (setting.key == "image.bytes_max") flags = {{"web.body_bytes_max", "--x", "100MiB"}};
  if (setting.key == "web.body_bytes_max") flags = {{"web.buffered_bytes_max", "--x", "1GiB"}};
  if (setting.key == "queue.dead_letter") flags = {{"queue.request", "--x", "first-name"}};
}

TEST_F(LoadTest, EverySettingComesFromAFileTheEnvironmentAndAFlag) {
  for (const Setting& setting : settings()) {
    const std::string value = test::other_value(setting);
    ConfigSources sources;
    make_room(sources.flags, setting);

    ConfigSources from_file = sources;
    from_file.file = file(toml_line(setting, value));
    auto loaded = load_config(from_file);
    ASSERT_TRUE(loaded) << loaded.error().message;
    EXPECT_EQ(setting.get(loaded->config), value);
    EXPECT_THAT(
        loaded->origin(setting.key),
        AllOf(HasSubstr("imgrec.toml:"), testing::EndsWith(setting.key.find('.') == std::string::npos ? ":1" : ":2")));

    ConfigSources from_environment = sources;
    from_environment.environment = {{setting.environment_name(), value}, {"PATH", "/bin"}};
    loaded = load_config(from_environment);
    ASSERT_TRUE(loaded) << loaded.error().message;
    EXPECT_EQ(setting.get(loaded->config), value);
    EXPECT_EQ(loaded->origin(setting.key), "env " + setting.environment_name());

    ConfigSources from_flag = sources;
    from_flag.flags.push_back({setting.key, setting.flags.front(), value});
    loaded = load_config(from_flag);
    ASSERT_TRUE(loaded) << loaded.error().message;
    EXPECT_EQ(setting.get(loaded->config), value);
    EXPECT_EQ(loaded->origin(setting.key), "flag " + setting.flags.front());
  }
}

TEST_F(LoadTest, FlagBeatsEnvironmentBeatsFileBeatsDefault) {
  ConfigSources sources;
  EXPECT_EQ(load_config(sources)->config.web.port, 8000);
  EXPECT_EQ(load_config(sources)->origin("web.port"), "default");
  sources.file = file("[web]\nport = 1001\nthreads = 9\n");
  EXPECT_EQ(load_config(sources)->config.web.port, 1001);
  sources.environment["IMGREC_WEB_PORT"] = "1002";
  EXPECT_EQ(load_config(sources)->config.web.port, 1002);
  sources.flags.push_back({"web.port", "--port", "1003"});
  const auto loaded = load_config(sources);
  EXPECT_EQ(loaded->config.web.port, 1003);
  EXPECT_EQ(loaded->config.web.threads, 9);
}

TEST_F(LoadTest, TheEnvironmentMayNameTheFileAndTheFlagBeatsIt) {
  const auto path = file("[web]\nport = 1001\n");
  ConfigSources sources{.file = {}, .environment = {{"IMGREC_CONFIG", path.string()}}, .flags = {}};
  EXPECT_EQ(load_config(sources)->config.web.port, 1001);
  const auto other = folder_.path() / "other.toml";
  std::ofstream(other) << "[web]\nport = 1002\n";
  sources.file = other;
  EXPECT_EQ(load_config(sources)->config.web.port, 1002);
}

TEST_F(LoadTest, AnEmptyVariableCountsAsNotSet) {
  EXPECT_EQ(error_of_environment({{"IMGREC_WEB_PORT", ""}, {"IMGREC_CONFIG", ""}}), "no error");
}

TEST_F(LoadTest, UnknownKeysNameTheNearestWithFileAndLine) {
  EXPECT_THAT(error_of_file("[web]\nbind = \"::1\"\nprot = 1\n"),
              AllOf(HasSubstr("unknown_setting"), HasSubstr("imgrec.toml:3"), HasSubstr("web.prot"),
                    HasSubstr("did you mean web.port?")));
  EXPECT_THAT(error_of_file("[wbe]\nport = 1\n"),
              AllOf(HasSubstr("imgrec.toml:2"), HasSubstr("did you mean web.port?")));
  EXPECT_THAT(error_of_file("statedir = \"x\"\n"),
              AllOf(HasSubstr("imgrec.toml:1"), HasSubstr("did you mean state_dir?")));
  EXPECT_THAT(error_of_file("port = 1\n"), HasSubstr("did you mean web.port?"));
  EXPECT_THAT(error_of_file("[web.port]\nx = 1\n"), HasSubstr("web.port has no single value"));
  EXPECT_THAT(error_of_file("[web.deeper]\nport = 1\n"), HasSubstr("unknown_setting"));
}

TEST_F(LoadTest, UnknownVariablesNameTheNearest) {
  EXPECT_THAT(
      error_of_environment({{"IMGREC_WEB_PROT", "1"}}),
      AllOf(HasSubstr("unknown_setting"), HasSubstr("IMGREC_WEB_PROT"), HasSubstr("did you mean IMGREC_WEB_PORT?")));
  EXPECT_THAT(error_of_environment({{"IMGREC_PORT", "1"}}), HasSubstr("did you mean IMGREC_WEB_PORT?"));
  EXPECT_THAT(error_of_environment({{"IMGREC_MODEL", "x"}}), HasSubstr("did you mean IMGREC_MODEL_NAME?"));
  EXPECT_EQ(error_of_environment({{"IMGREC_TEST_X", "1"}, {"IMGREC_PARENT_FD", "3"}, {"IMGRECX", "1"}}), "no error");
}

TEST_F(LoadTest, WrongValuesNameSettingOriginValueAndWhatIsAllowed) {
  EXPECT_THAT(error_of_file("\n[web]\nport = 70000\n"),
              AllOf(HasSubstr("bad_setting"), HasSubstr("web.port"), HasSubstr("\"70000\""), HasSubstr("imgrec.toml:3"),
                    HasSubstr("0 to 65535")));
  EXPECT_THAT(error_of_file("[web]\nport = [1]\n"), AllOf(HasSubstr("no single value"), HasSubstr("imgrec.toml:2")));
  EXPECT_THAT(error_of_file("[web]\nport = 80.5\n"), HasSubstr("\"80.5\""));
  EXPECT_THAT(error_of_environment({{"IMGREC_QUEUE_VISIBILITY", "soon"}}),
              AllOf(HasSubstr("queue.visibility"), HasSubstr("env IMGREC_QUEUE_VISIBILITY"), HasSubstr("500ms")));
  const auto loaded = load_config({.file = {}, .environment = {}, .flags = {{"log.level", "--log-level", "loud"}}});
  ASSERT_FALSE(loaded);
  EXPECT_THAT(loaded.error().message, AllOf(HasSubstr("flag --log-level"), HasSubstr("debug, info, warning or error")));
}

TEST_F(LoadTest, AWrongValueIsAnErrorAlsoWhereAStrongerSourceWins) {
  const auto loaded =
      load_config({.file = file("[web]\nport = -1\n"), .environment = {{"IMGREC_WEB_PORT", "8080"}}, .flags = {}});
  EXPECT_FALSE(loaded);
}

TEST_F(LoadTest, BrokenAndMissingFiles) {
  EXPECT_THAT(error_of_file("[web]\nport = = 1\n"), AllOf(HasSubstr("bad_config_file"), HasSubstr("imgrec.toml:2")));
  EXPECT_THAT(error_of_file("[web]\nport = 1\nport = 2\n"), HasSubstr("bad_config_file"));
  const auto missing = load_config({.file = folder_.path() / "none.toml", .environment = {}, .flags = {}});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind, ErrorKind::not_found);
  EXPECT_THAT(missing.error().message, HasSubstr("none.toml"));
  EXPECT_EQ(error_of_file(""), "no error");
}

TEST_F(LoadTest, RulesBetweenSettingsAreChecked) {
  EXPECT_THAT(error_of_environment({{"IMGREC_CONTROLLER_MIN", "3"}, {"IMGREC_CONTROLLER_MAX", "2"}}),
              HasSubstr("controller.min"));
}

TEST_F(LoadTest, ListsMayBeArraysOfStrings) {
  const auto loaded = load_config(
      {.file = file("[aws]\ninstance_types = [\"c7i.large\", \"c7a.large\"]\nsubnets = \"subnet-1, subnet-2\"\n"),
       .environment = {},
       .flags = {}});
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->config.aws.instance_types, "c7i.large,c7a.large");
  EXPECT_EQ(loaded->config.aws.subnets, "subnet-1, subnet-2");
  EXPECT_THAT(error_of_file("[aws]\ninstance_types = [\"a.b,c.d\"]\n"), HasSubstr("commas"));
  EXPECT_THAT(error_of_file("[aws]\ninstance_types = [1]\n"), HasSubstr("instance types"));
  EXPECT_THAT(error_of_file("[aws]\nregion = [\"us-east-1\"]\n"), HasSubstr("no single value"));
}

TEST_F(LoadTest, TheSampleNamesEverySettingWithItsDefault) {
  std::ifstream in(IMGREC_SAMPLE_CONFIG);
  std::stringstream text;
  text << in.rdbuf();
  ASSERT_FALSE(text.str().empty()) << IMGREC_SAMPLE_CONFIG;
  // As it is, it changes nothing.
  EXPECT_TRUE(load_config({.file = std::filesystem::path(IMGREC_SAMPLE_CONFIG), .environment = {}, .flags = {}}));
  // With every "#key = value" made real, each setting is there, at its default.
  std::string active;
  for (std::string line; std::getline(text, line);) {
    active += std::regex_replace(line, std::regex("^#([a-z_]+ = )"), "$1") + "\n";
  }
  const auto loaded = load_config({.file = file(active), .environment = {}, .flags = {}});
  ASSERT_TRUE(loaded) << loaded.error().message;
  for (const Setting& setting : settings()) {
    if (setting.key.starts_with("aws.") || setting.key.starts_with("deploy."))
      continue;  // in configs/aws.toml, see tests/cmd/platform_test.cpp
    EXPECT_NE(loaded->origin(setting.key), "default") << setting.key << " is not in the sample";
    EXPECT_EQ(setting.get(loaded->config), setting.get(Config())) << setting.key;
  }
}

}  // namespace
}  // namespace imgrec::load_test
