#include "aws/client/profile.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "lib/base/file.hpp"
#include "lib/base/units.hpp"
#include "tests/support/shared_data.hpp"

namespace imgrec::aws {
namespace {

using nlohmann::json;
using test::unpacked_testdata;
using testing::HasSubstr;

TEST(Profile, PassesTheSharedParserSuite) {
  IMGREC_NEED_SHARED(suite, unpacked_testdata("profile-parser"));
  int cases = 0;
  const json document = json::parse(*read_file(suite / "profile-parser-tests.json", kMiB));
  for (const json& one : document.at("tests")) {
    SCOPED_TRACE(one.at("name").get<std::string>());
    const auto got = parse_profiles(one["input"].value("configFile", ""), one["input"].value("credentialsFile", ""));
    ++cases;
    if (one["output"].contains("errorContaining")) {
      ASSERT_FALSE(got);
      EXPECT_EQ(got.error().kind, ErrorKind::invalid);
      EXPECT_THAT(got.error().message, HasSubstr(one["output"]["errorContaining"].get<std::string>()));
      continue;
    }
    ASSERT_TRUE(got) << got.error().message;
    const json& config = one["output"]["config"];
    using Sections = std::map<std::string, Properties>;
    EXPECT_EQ(got->profiles, config.at("profiles").get<Sections>());
    EXPECT_EQ(got->sso_sessions, config.value("sso_sessions", Sections{}));
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
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, "bad_aws_config");
  EXPECT_THAT(got.error().message, HasSubstr("credentials file, line 3"));
}

TEST(Profile, ServicesSectionsHaveSubProperties) {
  const auto got = parse_profiles("[services urls]\nsts =\n  endpoint_url = http://a=b \n  Other=1\n", "");
  ASSERT_TRUE(got);
  EXPECT_EQ(sub_properties(got->services.at("urls").at("sts")),
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
}  // namespace imgrec::aws
