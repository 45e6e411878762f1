// The chain against the recorded cases of AWS's SDK for Rust: environment and files in, HTTP traffic compared,
// credentials or error out.
#include "aws/client/credentials.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>

#include "aws/client/process.hpp"
#include "lib/base/file.hpp"
#include "lib/base/text.hpp"
#include "tests/aws/support.hpp"
#include "tests/support/shared_data.hpp"

namespace imgrec::aws::credentials_test {
namespace {

using imgrec::test::unpacked_testdata;
using nlohmann::json;
using test::FixedRng;
using test::JumpClock;
using test::ScriptedHttp;
using test::sent_header;
using testing::HasSubstr;

json load_json(const std::filesystem::path& path) {
  const auto text = read_file(path, 16 * kMiB);
  return text ? json::parse(*text) : throw std::runtime_error(text.error().message);
}

// Not read by this project, each with its reason; the test asserts that they are refused with a clear word.
const std::map<std::string, std::string> kSkipped = {
    {"sso_credentials", "IAM Identity Center needs a person who signs in; a service has none"},
    {"sso_override_global_env_url", "IAM Identity Center, as above"},
    {"sso_token", "IAM Identity Center, as above"},
};

// The SDK's words for an error, and our code for the same.
const std::map<std::string, std::string> kErrorCodes = {
    {"the credential provider was not enabled", "no_credentials"},
    {"provider was not enabled", "no_credentials"},
    {"request forbidden: IMDS is disabled", "no_credentials"},
    {"InvalidIdentityTokenException: No OpenIDConnect provider found in your account", "bad_identity_token"},
    {"an error occurred while loading credentials: Error retrieving credentials: external process exited with code "
     "exit status: 1",
     "credential_process_failed"},
    {"Error retrieving credentials from external process, could not parse response: invalid JSON in response",
     "bad_credentials_answer"},
    {"could not parse profile file", "bad_aws_config"},
    {"selected profile will resolve an access token instead of credentials", "sso_unsupported"},
};

std::string without_final_slash(std::string url) {
  if (url.ends_with('/')) url.pop_back();
  return url;
}

// Session names are free; those that the case fixes are compared. A token file's last line break is not sent by us. One
// recording's account was made anonymous in another way than its environment.
QueryPairs comparable_form(const std::string& body) {
  QueryPairs out = parse_query_string(body);
  for (auto& [name, value] : out) {
    if (name == "WebIdentityToken") value = trim(value);
    if (value == "arn:aws:iam::123456789123:role/test-role") value = "arn:aws:iam::123456789012:role/test-role";
  }
  std::erase_if(out, [](const auto& pair) { return pair.first == "RoleSessionName" && pair.second != "test-session"; });
  return out;
}

struct Exchange {
  json request;
  std::string request_body;
  json response;
  std::string response_body;
};

std::vector<Exchange> read_traffic(const json& document) {
  std::vector<Exchange> out;
  for (const json& event : document.at("events")) {
    const json& action = event.at("action");
    if (action.contains("Request")) {
      out.push_back({action["Request"]["request"], "", {}, ""});
    } else if (action.contains("Response")) {
      out.back().response = action["Response"]["response"]["Ok"];
    } else if (action.contains("Data") && action["Data"]["data"].contains("Utf8")) {
      const std::string text = action["Data"]["data"]["Utf8"];
      (action["Data"]["direction"] == "Request" ? out.back().request_body : out.back().response_body) += text;
    }
  }
  return out;
}

void expect_request(const HttpClientRequest& sent, const Exchange& expected) {
  EXPECT_EQ(sent.method, expected.request.at("method"));
  EXPECT_EQ(without_final_slash(sent.url), without_final_slash(expected.request.at("uri")));
  if (!expected.request_body.empty()) {
    EXPECT_EQ(comparable_form(sent.body), comparable_form(expected.request_body));
  }
  for (const char* name : {"x-aws-ec2-metadata-token", "x-aws-ec2-metadata-token-ttl-seconds", "content-type", "accept",
                           "x-amz-security-token"}) {
    if (expected.request["headers"].contains(name)) {
      EXPECT_EQ(sent_header(sent, name), expected.request["headers"][name][0]) << name;
    }
  }
}

void play(ScriptedHttp& http, std::vector<Exchange> traffic) {
  for (Exchange& exchange : traffic) {
    http.then([exchange](const HttpClientRequest& sent) -> Result<HttpClientResponse> {
      expect_request(sent, exchange);
      HttpClientResponse response;
      response.status = exchange.response.at("status");
      for (const auto& [name, values] : exchange.response["headers"].items()) {
        // The recorded dates are years before the test's clock.
        if (name != "date") response.headers.emplace_back(name, values[0]);
      }
      response.body = exchange.response_body;
      return response;
    });
  }
}

void expect_result(const Result<Credentials>& got, const json& expected) {
  if (expected.contains("ErrorContains")) {
    ASSERT_FALSE(got);
    const std::string words = expected["ErrorContains"];
    ASSERT_TRUE(kErrorCodes.contains(words)) << words;
    EXPECT_EQ(got.error().code, kErrorCodes.at(words)) << got.error().message;
    return;
  }
  ASSERT_TRUE(got) << got.error().message;
  const json& want = expected.at("Ok");
  EXPECT_EQ(got->access_key_id, want.at("access_key_id"));
  EXPECT_EQ(got->secret_access_key.reveal(), want.at("secret_access_key"));
  EXPECT_EQ(got->session_token.reveal(), want.value("session_token", ""));
  EXPECT_EQ(got->account_id, want.value("account_id", ""));
  EXPECT_EQ(got->expires_at.has_value(), want.contains("expiry"));
  if (got->expires_at && want.contains("expiry")) {
    EXPECT_EQ(std::chrono::floor<Seconds>(*got->expires_at).time_since_epoch().count(),
              want["expiry"].get<std::int64_t>());
  }
}

class World {
 public:
  World(Environment environment, FileReader read) : environment_(std::move(environment)), read_(std::move(read)) {}
  Result<Credentials> load() { return chain().load({}); }
  CredentialChain chain() { return CredentialChain({environment_, read_, run_shell, http, clock, rng}); }
  ScriptedHttp http;
  JumpClock clock;

 private:
  Environment environment_;
  FileReader read_;
  FixedRng rng{0};
};

void run_case(const std::filesystem::path& folder, bool profile_only) {
  const std::string name = folder.filename().string();
  SCOPED_TRACE(name);
  Environment environment = load_json(folder / "env.json").get<Environment>();
  if (profile_only) {
    // These cases are about the profile provider alone.
    environment.erase("AWS_ACCESS_KEY_ID");
    environment.erase("AWS_SECRET_ACCESS_KEY");
    environment["AWS_EC2_METADATA_DISABLED"] = "true";
  }
  World world(environment,
              [&](const std::filesystem::path& path) { return read_file(folder / "fs" / path.relative_path(), kMiB); });
  if (kSkipped.contains(name)) {
    const auto got = world.load();
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, "sso_unsupported");
    return;
  }
  play(world.http, read_traffic(load_json(folder / "http-traffic.json")));
  expect_result(world.load(), load_json(folder / "test-case.json").at("result"));
  EXPECT_EQ(world.http.left(), 0u);
}

TEST(CredentialChain, PassesTheDefaultChainCases) {
  IMGREC_NEED_SHARED(suite, unpacked_testdata("credential-chain"));
  int cases = 0;
  for (const auto& entry : std::filesystem::directory_iterator(suite / "default-credential-provider-chain")) {
    run_case(entry.path(), false);
    ++cases;
  }
  EXPECT_EQ(cases, 19);
}

TEST(CredentialChain, PassesTheProfileProviderCases) {
  IMGREC_NEED_SHARED(suite, unpacked_testdata("credential-chain"));
  int cases = 0;
  for (const auto& entry : std::filesystem::directory_iterator(suite / "profile-provider")) {
    run_case(entry.path(), true);
    ++cases;
  }
  EXPECT_EQ(cases, 18);
}

// What a chain is, in the suite's words.
json to_json(const ProfileChain& chain) {
  json out = json::array();
  const auto add = [](json& object, const char* name, const std::string& value) {
    if (!value.empty()) object[name] = value;
  };
  json base = json::object();
  if (const auto* keys = std::get_if<Credentials>(&chain.base)) {
    add(base, "access_key_id", keys->access_key_id);
    add(base, "secret_access_key", keys->secret_access_key.reveal());
    add(base, "account_id", keys->account_id);
    out.push_back({{"AccessKey", base}});
  } else if (const auto* named = std::get_if<NamedSource>(&chain.base)) {
    out.push_back({{"NamedSource", named->name}});
  } else if (const auto* web = std::get_if<WebIdentity>(&chain.base)) {
    add(base, "role_arn", web->role_arn);
    add(base, "web_identity_token_file", web->token_file);
    add(base, "role_session_name", web->session_name);
    out.push_back({{"WebIdentityToken", base}});
  }
  for (const RoleStep& role : chain.roles) {
    json step = {{"role_arn", role.role_arn}};
    add(step, "role_session_name", role.session_name);
    add(step, "external_id", role.external_id);
    out.push_back({{"AssumeRole", step}});
  }
  return out;
}

TEST(ProfileChain, PassesTheAssumeRoleCases) {
  IMGREC_NEED_SHARED(suite, unpacked_testdata("credential-chain"));
  const json document = load_json(suite / "assume-role-tests.json");
  int cases = 0, sso = 0;
  for (const json& one : document) {
    SCOPED_TRACE(one.at("docs").get<std::string>());
    Profiles profiles;
    profiles.profiles = one["input"]["profiles"].get<std::map<std::string, Properties>>();
    profiles.selected = one["input"]["selected_profile"];
    const auto got = resolve_profile(profiles);
    ++cases;
    if (one["input"].dump().find("\"sso_") != std::string::npos) {
      ++sso;  // IAM Identity Center is refused, whether it is configured well or not
      ASSERT_FALSE(got);
      EXPECT_EQ(got.error().code, "sso_unsupported");
    } else if (one["output"].contains("Error")) {
      ASSERT_FALSE(got);
      EXPECT_THAT(got.error().message, HasSubstr(one["output"]["Error"].get<std::string>()));
    } else {
      ASSERT_TRUE(got) << got.error().message;
      EXPECT_EQ(to_json(*got), one["output"]["ProfileChain"]);
    }
  }
  EXPECT_EQ(cases, 28);
  EXPECT_EQ(sso, 6);
}

TEST(ContainerCredentials, PassesTheUriCases) {
  IMGREC_NEED_SHARED(suite, unpacked_testdata("credential-chain"));
  const json document = load_json(suite / "ecs-tests.json");
  int cases = 0;
  for (const json& one : document.at("tests")) {
    SCOPED_TRACE(one.at("docs").get<std::string>());
    ++cases;
    const auto got = container_credentials_url(one.at("env").get<Environment>());
    if (one["result"].contains("Ok")) {
      ASSERT_TRUE(got && *got);
      EXPECT_EQ(**got, one["result"]["Ok"]);
    } else if (one["env"].empty()) {
      EXPECT_TRUE(got && !*got);
    } else {
      ASSERT_FALSE(got);
      EXPECT_THAT(got.error().message, HasSubstr(one["result"]["ErrorContains"].get<std::string>()));
    }
  }
  EXPECT_EQ(cases, 11);
}

TEST(ContainerCredentials, PlainHttpReachesNoStranger) {
  for (const char* uri :
       {"http://example.com/c", "http://169.254.170.20/c", "http://127.0.0.1.example.com/c", "http://127.x/c",
        "ftp://localhost/c", "http://user@localhost/c", "http://localhost\\.evil/c"}) {
    EXPECT_FALSE(container_credentials_url({{"AWS_CONTAINER_CREDENTIALS_FULL_URI", uri}})) << uri;
  }
  EXPECT_TRUE(container_credentials_url({{"AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:8080/c"}}));
}

TEST(Imds, PassesTheEndpointCases) {
  IMGREC_NEED_SHARED(suite, unpacked_testdata("credential-chain"));
  const json document = load_json(suite / "imds-config" / "imds-endpoint-tests.json");
  int cases = 0;
  for (const json& one : document.at("tests")) {
    SCOPED_TRACE(one.at("docs").get<std::string>());
    ++cases;
    // An override in code is, in this project, the variable.
    Environment environment = one.at("env").get<Environment>();
    if (one.contains("endpoint_override")) environment["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = one["endpoint_override"];
    if (one.contains("mode_override")) environment["AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"] = one["mode_override"];
    const auto profiles = load_profiles(environment, [&](const std::filesystem::path& path) -> Result<std::string> {
      if (one["fs"].contains(path.string())) return one["fs"][path.string()].get<std::string>();
      return fail(ErrorKind::not_found, "file_unreadable", "");
    });
    ASSERT_TRUE(profiles);
    const auto got = imds_endpoint(environment, *profiles);
    if (one["result"].contains("Ok")) {
      ASSERT_TRUE(got) << got.error().message;
      EXPECT_EQ(got->scheme + "://" + got->authority + got->base_path + "/latest/api/token", one["result"]["Ok"]);
    } else if (one["result"]["Err"] == "invalid uri character") {
      EXPECT_EQ(got.error().code, "bad_endpoint");
    } else {
      ASSERT_FALSE(got);
      EXPECT_THAT(got.error().message, HasSubstr(one["result"]["Err"].get<std::string>()));
    }
  }
  EXPECT_EQ(cases, 14);
}

TEST(Imds, IsAskedThroughNoProxy) {
  ScriptedHttp http;
  JumpClock clock;
  FixedRng rng(0);
  Imds imds({"http", "metadata.example", "", ""}, http, clock, rng);
  http.then(200, "token");
  http.then(200, "a");
  EXPECT_TRUE(imds.get("/latest/a", {}));
  for (const auto& request : http.requests()) EXPECT_TRUE(request.direct) << request.url;
}

TEST(Imds, KeepsItsTokenAndRenewsItWhenItIsRefused) {
  ScriptedHttp http;
  JumpClock clock;
  FixedRng rng(0);
  Imds imds({"http", "169.254.169.254", "", ""}, http, clock, rng);
  http.then(200, "one");
  http.then(200, "a");
  http.then(200, "b");
  EXPECT_EQ(*imds.get("/latest/a", {}), "a");
  EXPECT_EQ(*imds.get("/latest/b", {}), "b");
  http.then(401);
  http.then(200, "two");
  http.then(200, "c");
  EXPECT_EQ(*imds.get("/latest/c", {}), "c");
  EXPECT_EQ(sent_header(http.requests().back(), "x-aws-ec2-metadata-token"), "two");
  clock.advance(Seconds(21'600));
  http.then(200, "three");
  http.then(404);
  EXPECT_EQ(imds.get("/latest/d", {}).error().kind, ErrorKind::not_found);
}

const FileReader kNoFiles = [](const auto&) { return fail(ErrorKind::not_found, "file_unreadable", ""); };

TEST(CredentialChain, WithoutAnythingSaysWhereItLooked) {
  World world({{"HOME", "/h"}}, kNoFiles);
  for (int i = 0; i < 3; ++i) world.http.then_fail("connection_failed");
  const auto got = world.load();
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, "no_credentials");
  EXPECT_THAT(got.error().message, HasSubstr("AWS_ACCESS_KEY_ID"));
  EXPECT_THAT(got.error().message, HasSubstr("connection_failed"));
}

TEST(CredentialChain, ANamedProfileThatIsMissingIsAnError) {
  World world({{"HOME", "/h"}, {"AWS_PROFILE", "typo"}}, kNoFiles);
  const auto got = world.load();
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, "no_profile_credentials");
}

TEST(CredentialChain, SendsTheContainersToken) {
  World world({{"AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1/credentials"},
               {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/token"},
               {"AWS_CONTAINER_AUTHORIZATION_TOKEN", "not this"}},
              [](const std::filesystem::path& path) -> Result<std::string> {
                if (path == "/token") return "from file\n";
                return fail(ErrorKind::not_found, "file_unreadable", "");
              });
  world.http.then(200, R"({"AccessKeyId":"A","SecretAccessKey":"S","Token":"T","Expiration":"2026-01-01T06:00:00Z"})");
  const auto got = world.load();
  ASSERT_TRUE(got);
  EXPECT_EQ(sent_header(world.http.requests()[0], "authorization"), "from file");
  EXPECT_EQ(got->source, "container");
}

TEST(CredentialProcess, IsBounded) {
  EXPECT_EQ(run_shell("echo out; exit 3")->exit_code, 3);
  EXPECT_EQ(run_shell("echo out; exit 3")->output, "out\n");
  EXPECT_EQ(run_shell("kill -9 $$")->exit_code, 137);
  EXPECT_FALSE(run_shell("yes"));
}

TEST(Expiry, WithZOrOffset) {
  EXPECT_EQ(*parse_expiry("2022-05-02T18:36:00+00:00"), *parse_rfc3339("2022-05-02T18:36:00Z"));
  EXPECT_EQ(*parse_expiry("2022-05-02T18:36:00-01:30"), *parse_rfc3339("2022-05-02T20:06:00Z"));
  EXPECT_EQ(*parse_expiry("2022-05-02T18:36:00+0200"), *parse_rfc3339("2022-05-02T16:36:00Z"));
  EXPECT_EQ(*parse_expiry("2022-05-02T18:36:00+02"), *parse_rfc3339("2022-05-02T16:36:00Z"));
  for (const char* same :
       {"2022-05-02T18:36:00.5Z", "2022-05-02T18:36:00.50Z", "2022-05-02T18:36:00.500Z", "2022-05-02T18:36:00.500000Z",
        "2022-05-02T18:36:00.500000000Z", "2022-05-02T20:36:00.5004+02:00", "2022-05-02 18:36:00.5z"}) {
    const auto read = parse_expiry(same);
    ASSERT_TRUE(read) << same;
    EXPECT_EQ(*read, *parse_rfc3339("2022-05-02T18:36:00.500Z")) << same;
  }
  for (const char* bad : {"", "x", "2022-05-02T18:36:00+", "2022-05-02T18:36:00+1:30", "2022-05-02T18:36:00+0x:30",
                          "2022-05-02", "2022-05-02T18:36:00", "2022-05-02T18:36:00.Z", "2022-05-02T18:36:00.5"}) {
    EXPECT_FALSE(parse_expiry(bad)) << bad;
  }
}

}  // namespace
}  // namespace imgrec::aws::credentials_test
