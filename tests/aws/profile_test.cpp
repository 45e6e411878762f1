#include "aws/client/profile.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>

#include "lib/base/file.hpp"
#include "lib/base/units.hpp"
#include "tests/support/shared_data.hpp"

namespace imgrec::aws::profile_test {
namespace {

using imgrec::test::unpacked_testdata;
using nlohmann::json;
using testing::HasSubstr;

// What the suite's SDKs refuse or leave out, and the AWS CLI takes.
const std::map<std::string, json> kTakenAsByTheAwsCli = {
    {"Property definitions must contain an equals sign.", {{"foo", {{"key", "value"}}}}},
    {"Invalid profile names are ignored.", {{"in valid 2", {{"name2", "value2"}}}}},
};

TEST(Profile, PassesTheSharedParserSuite) {
  IMGREC_NEED_SHARED(suite, unpacked_testdata("profile-parser"));
  int cases = 0;
  const json document = json::parse(*read_file(suite / "profile-parser-tests.json", kMiB));
  using Sections = std::map<std::string, Properties>;
  for (const json& one : document.at("tests")) {
    const auto name = one.at("name").get<std::string>();
    SCOPED_TRACE(name);
    ++cases;
    Profiles got = parse_profiles(one["input"].value("configFile", ""), one["input"].value("credentialsFile", ""));
    if (const auto differs = kTakenAsByTheAwsCli.find(name); differs != kTakenAsByTheAwsCli.end()) {
      EXPECT_EQ(got.profiles, differs->second.get<Sections>());
      EXPECT_TRUE(got.problems.empty());
      continue;
    }
    if (one["output"].contains("errorContaining")) {
      got.selected = "foo";  // all of the suite's bad lines are in this profile, or before any
      const auto checked = check_selected(got);
      ASSERT_FALSE(checked);
      EXPECT_EQ(checked.error().kind, ErrorKind::invalid);
      EXPECT_THAT(checked.error().message, HasSubstr(one["output"]["errorContaining"].get<std::string>()));
      continue;
    }
    ASSERT_TRUE(got.problems.empty()) << got.problems.front().error.message;
    const json& config = one["output"]["config"];
    EXPECT_EQ(got.profiles, config.at("profiles").get<Sections>());
    EXPECT_EQ(got.sso_sessions, config.value("sso_sessions", Sections{}));
  }
  EXPECT_EQ(cases, 65);
}

TEST(Profile, PassesTheSharedLocationSuite) {
  IMGREC_NEED_SHARED(suite, unpacked_testdata("profile-parser"));
  int cases = 0;
  const json document = json::parse(*read_file(suite / "file-location-tests.json", kMiB));
  for (const json& one : document.at("tests")) {
    if (one.at("platform") != "linux") continue;  // the project runs on Linux only
    SCOPED_TRACE(one.at("name").get<std::string>());
    const ProfileLocations got = profile_locations(one.at("environment").get<Environment>());
    EXPECT_EQ(got.config, one.at("configLocation").get<std::string>());
    EXPECT_EQ(got.credentials, one.at("credentialsLocation").get<std::string>());
    EXPECT_EQ(got.profile, one.value("profile", "default"));
    ++cases;
  }
  EXPECT_EQ(cases, 4);
}

TEST(Profile, ErrorsNameFileAndLine) {
  const auto got = parse_profiles("", "[default]\n\nnonsense\n");
  ASSERT_EQ(got.problems.size(), 1U);
  EXPECT_EQ(got.problems.front().error.code, "bad_aws_config");
  EXPECT_THAT(got.problems.front().error.message, HasSubstr("credentials file, line 3"));
}

TEST(Profile, LinesAreTakenThatTheAwsCliTakes) {
  const auto got = parse_profiles(
      "\xEF\xBB\xBF# a comment\n"
      "  [default] and more\n"
      "    region = eu-west-3\n"
      "      # an indented comment\n"
      "    output: json\n"
      "    max_attempts\t=\t3\r\n"
      "    endpoint_url: http://host:1/?a=b\n"
      "    s3 =\n"
      "        addressing_style = path\n"
      "        ; another\n"
      "        max_concurrent_requests = 5\n"
      "    ca_bundle = /ca.pem\n"
      "[profile \"with a space\"]\n"
      "region = us-west-2\n",
      "[work account]\n  aws_access_key_id = A\n  aws_secret_access_key = B\n");
  EXPECT_TRUE(got.problems.empty()) << got.problems.front().error.message;
  EXPECT_EQ(got.profiles.at("default"), (Properties{{"region", "eu-west-3"},
                                                    {"output", "json"},
                                                    {"max_attempts", "3"},
                                                    {"endpoint_url", "http://host:1/?a=b"},
                                                    {"s3", "\naddressing_style = path\nmax_concurrent_requests = 5"},
                                                    {"ca_bundle", "/ca.pem"}}));
  EXPECT_EQ(got.profiles.at("with a space"), (Properties{{"region", "us-west-2"}}));
  EXPECT_EQ(got.profiles.at("work account"), (Properties{{"aws_access_key_id", "A"}, {"aws_secret_access_key", "B"}}));
}

TEST(Profile, ABadProfileStopsOnlyWhoUsesIt) {
  Profiles got = parse_profiles(
      "[profile broken\nregion = a\n[profile odd]\nnonsense\n[default]\nregion = eu-west-3\n[profile user]\n"
      "source_profile = middle\n[profile middle]\nsource_profile = odd\n[profile served]\nservices = own\n"
      "[services own]\nwrong\n[nobody's]\nwrong\n",
      "");
  EXPECT_EQ(got.problems.size(), 4U);
  EXPECT_TRUE(check_selected(got));
  EXPECT_EQ(property(*got.current(), "region"), "eu-west-3");
  for (const char* user : {"broken", "odd", "user", "served"}) {
    got.selected = user;
    EXPECT_FALSE(check_selected(got)) << user;
  }
  got.selected = "middle";
  EXPECT_THAT(check_selected(got).error().message, HasSubstr("config file, line 4"));
}

TEST(Profile, LinesBeforeAnySectionMatterWhereNoProfileIsFound) {
  Profiles got = parse_profiles("region = a\n[profile foo]\n", "");
  EXPECT_FALSE(check_selected(got)) << "it is perhaps the default's";
  got.selected = "foo";
  EXPECT_TRUE(check_selected(got));
}

TEST(Profile, ATildeIsTheHomeFolder) {
  const Environment environment{
      {"HOME", "/home/me"}, {"AWS_CONFIG_FILE", "~/work/aws"}, {"AWS_SHARED_CREDENTIALS_FILE", "/etc/~/aws"}};
  EXPECT_EQ(profile_locations(environment).config, "/home/me/work/aws");
  EXPECT_EQ(profile_locations(environment).credentials, "/etc/~/aws");
  EXPECT_EQ(expand_home("~", environment), "/home/me");
  EXPECT_EQ(expand_home("~other/x", environment), "~other/x");
  EXPECT_EQ(expand_home("~/x", {}), "~/x");
  EXPECT_EQ(profile_locations({}).config, "") << "no HOME: no files";
}

TEST(Profile, ServicesSectionsHaveSubProperties) {
  const auto got = parse_profiles("[services urls]\nsts =\n  endpoint_url = http://a=b \n  Other=1\n", "");
  EXPECT_EQ(sub_properties(got.services.at("urls").at("sts")),
            (Properties{{"endpoint_url", "http://a=b"}, {"other", "1"}}));
}

TEST(Profile, AbsentFilesAreEmptyButUnreadableOnesAreErrors) {
  const Environment environment{{"HOME", "/h"}, {"AWS_PROFILE", " "}};
  const auto absent =
      load_profiles(environment, [](const auto&) { return fail(ErrorKind::not_found, "file_unreadable", ""); });
  ASSERT_TRUE(absent);
  EXPECT_EQ(absent->current(), nullptr);
  EXPECT_FALSE(absent->selected_by_name);
  const auto denied =
      load_profiles(environment, [](const auto&) { return fail(ErrorKind::denied, "file_unreadable", ""); });
  ASSERT_FALSE(denied);
  EXPECT_EQ(denied.error().kind, ErrorKind::denied);
}

TEST(Profile, BlankIsAbsent) {
  EXPECT_EQ(env_value({{"A", " \t"}}, "A"), "");
  EXPECT_EQ(env_value({{"A", " x "}}, "A"), "x");
  EXPECT_EQ(env_value({}, "A"), "");
  EXPECT_EQ(property({{"a", " "}}, "a"), "");
}

}  // namespace
}  // namespace imgrec::aws::profile_test
