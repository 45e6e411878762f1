// Every stage against the vectors of aws-c-auth's signing suite (38 cases, header and query) and the S3 documentation.
#include "aws/client/sigv4.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "lib/base/digest.hpp"
#include "lib/base/file.hpp"
#include "tests/support/shared_data.hpp"

namespace imgrec::aws::sigv4_test {
namespace {

using imgrec::test::unpacked_testdata;
using nlohmann::json;

std::string text_of(const std::filesystem::path& path) {
  const auto text = read_file(path, kMiB);
  if (!text) throw std::runtime_error(text.error().message);
  return *text;
}

// The suite's request files: no space needed after a header's colon, folded values, an unencoded target.
Signable parse_request(const std::string& text, std::string& body) {
  Signable request;
  std::istringstream in(text);
  std::string line;
  std::getline(in, line);
  const std::size_t first = line.find(' '), last = line.rfind(' ');
  request.method = line.substr(0, first);
  const std::string target = line.substr(first + 1, last - first - 1);
  const std::size_t mark = target.find('?');
  request.path = target.substr(0, mark);
  if (mark != std::string::npos) request.query = parse_query_string(target.substr(mark + 1));
  while (std::getline(in, line) && !line.empty()) {
    if (line.front() == ' ') {
      request.headers.back().second += "\n" + line;
    } else {
      const std::size_t colon = line.find(':');
      request.headers.emplace_back(line.substr(0, colon), line.substr(colon + 1));
    }
  }
  std::getline(in, body, '\0');
  return request;
}

struct Case {
  Signable request;
  Credentials credentials;
  SigningOptions options;
};

Case load_case(const std::filesystem::path& folder) {
  Case out;
  std::string body;
  out.request = parse_request(text_of(folder / "request.txt"), body);
  const json context = json::parse(text_of(folder / "context.json"));
  const json& keys = context.at("credentials");
  out.credentials = {.access_key_id = keys.at("access_key_id"),
                     .secret_access_key = Secret(keys.at("secret_access_key")),
                     .session_token = Secret(keys.value("token", "")),
                     .expires_at = {},
                     .account_id = {},
                     .source = {}};
  out.options = signing_options(context.at("service"), context.at("region"),
                                *parse_rfc3339(context.at("timestamp").get<std::string>()));
  out.options.normalize_path = context.at("normalize");
  out.options.payload_hash_header = context.at("sign_body");
  out.options.sign_session_token = !context.value("omit_session_token", false);
  out.options.expires = Seconds(context.at("expiration_in_seconds").get<int>());
  out.request.payload_sha256 = sha256_hex(body);
  return out;
}

void expect_stages(const Signed& got, const std::filesystem::path& folder, const std::string& kind) {
  EXPECT_EQ(got.canonical_request, text_of(folder / (kind + "-canonical-request.txt")));
  EXPECT_EQ(got.string_to_sign, text_of(folder / (kind + "-string-to-sign.txt")));
  EXPECT_EQ(got.signature, text_of(folder / (kind + "-signature.txt")));
}

TEST(SigV4, PassesTheWholeSigningSuite) {
  IMGREC_NEED_SHARED(suite, unpacked_testdata("sigv4-aws-c-auth"));
  int cases = 0;
  for (const auto& entry : std::filesystem::directory_iterator(suite / "v4")) {
    SCOPED_TRACE(entry.path().filename().string());
    const Case one = load_case(entry.path());
    const Signed in_header = sign(one.request, one.credentials, one.options);
    expect_stages(in_header, entry.path(), "header");
    const std::string signed_request = text_of(entry.path() / "header-signed-request.txt");
    EXPECT_NE(signed_request.find("\nAuthorization:" + in_header.headers.back().second + "\n"), std::string::npos);

    const Signed in_query = presign(one.request, one.credentials, one.options);
    expect_stages(in_query, entry.path(), "query");
    const std::string target = text_of(entry.path() / "query-signed-request.txt");
    EXPECT_NE(target.find(to_query_string(in_query.query) + " HTTP/1.1"), std::string::npos);
    ++cases;
  }
  EXPECT_EQ(cases, 38);
}

TEST(SigV4, PassesTheS3DocumentationsExamples) {
  IMGREC_NEED_SHARED(suite, unpacked_testdata("sigv4-s3-doc-examples"));
  int cases = 0;
  for (const json& one : json::parse(text_of(suite / "cases.json"))) {
    SCOPED_TRACE(one.at("name").get<std::string>());
    Signable request;
    request.method = one.at("method");
    request.path = one.at("canonical_path");
    request.query = parse_query_string(one.at("canonical_query").get<std::string>());
    for (const auto& [name, value] : one.at("headers").items()) {
      if (!name.starts_with("x-amz-date") && name != "x-amz-content-sha256") request.headers.emplace_back(name, value);
    }
    request.payload_sha256 = sha256_hex(one.at("body").get<std::string>());
    Credentials credentials;
    credentials.access_key_id = one.at("access_key");
    credentials.secret_access_key = Secret(one.at("secret"));
    const Signed got =
        sign(request, credentials, signing_options("s3", one.at("region"), *parse_rfc3339("2013-05-24T00:00:00Z")));
    EXPECT_EQ(got.canonical_request, one.at("canonical_request"));
    EXPECT_EQ(got.string_to_sign, one.at("string_to_sign"));
    EXPECT_EQ(got.signature, one.at("signature"));
    ++cases;
  }
  EXPECT_EQ(cases, 4);
}

Credentials example_keys() {
  Credentials keys;
  keys.access_key_id = "AKIAIOSFODNN7EXAMPLE";
  keys.secret_access_key = Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
  return keys;
}

// "Authenticating Requests: Using Query Parameters", Amazon S3 API reference.
TEST(SigV4, PresignsAsTheS3DocumentationDoes) {
  const Signable request{.method = "GET",
                         .path = "/test.txt",
                         .query = {},
                         .headers = {{"Host", "examplebucket.s3.amazonaws.com"}},
                         .payload_sha256 = std::string(kUnsignedPayload)};
  SigningOptions options = signing_options("s3", "us-east-1", *parse_rfc3339("2013-05-24T00:00:00Z"));
  options.expires = Seconds(86400);
  EXPECT_EQ(presign(request, example_keys(), options).signature,
            "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
}

TEST(SigV4, S3SignsThePathAsItIsSent) {
  Signable request{.method = "GET",
                   .path = "/a/../b//c%20d",
                   .query = {},
                   .headers = {{"Host", "h"}},
                   .payload_sha256 = std::string(kUnsignedPayload)};
  const auto path_of = [&](const std::string& service) {
    const Signed got = sign(request, example_keys(), signing_options(service, "us-east-1", WallTime{}));
    return got.canonical_request.substr(4, got.canonical_request.find('\n', 4) - 4);
  };
  EXPECT_EQ(path_of("s3"), "/a/../b//c%20d");
  EXPECT_EQ(path_of("sqs"), "/b/c%2520d");
}

TEST(SigV4, LeavesOutWhatProxiesChange) {
  const Signable request{
      .method = "GET",
      .path = "/",
      .query = {},
      .headers = {{"Host", "h"}, {"User-Agent", "imgrec"}, {"Expect", "100-continue"}, {"Range", "bytes=0-1"}},
      .payload_sha256 = sha256_hex("")};
  const Signed got = sign(request, example_keys(), signing_options("sqs", "us-east-1", WallTime{}));
  EXPECT_NE(got.headers.back().second.find("SignedHeaders=host;range;x-amz-date,"), std::string::npos);
}

TEST(SigV4, EveryPartOfTheRequestChangesTheSignature) {
  const Signable base{.method = "PUT",
                      .path = "/p",
                      .query = {{"a", "1"}},
                      .headers = {{"Host", "h"}, {"X-Amz-Meta-A", "1"}},
                      .payload_sha256 = sha256_hex("body")};
  const SigningOptions options = signing_options("s3", "us-east-1", *parse_rfc3339("2026-01-01T00:00:00Z"));
  const std::string signature = sign(base, example_keys(), options).signature;
  EXPECT_EQ(sign(base, example_keys(), options).signature, signature);
  const auto changed = [&](auto change) {
    Signable request = base;
    SigningOptions other = options;
    Credentials keys = example_keys();
    change(request, other, keys);
    return sign(request, keys, other).signature != signature;
  };
  EXPECT_TRUE(changed([](auto& r, auto&, auto&) { r.method = "POST"; }));
  EXPECT_TRUE(changed([](auto& r, auto&, auto&) { r.path = "/P"; }));
  EXPECT_TRUE(changed([](auto& r, auto&, auto&) { r.query[0].second = "2"; }));
  EXPECT_TRUE(changed([](auto& r, auto&, auto&) { r.headers[1].second = "2"; }));
  EXPECT_TRUE(changed([](auto& r, auto&, auto&) { r.payload_sha256 = sha256_hex("Body"); }));
  EXPECT_TRUE(changed([](auto&, auto& o, auto&) { o.region = "eu-west-1"; }));
  EXPECT_TRUE(changed([](auto&, auto& o, auto&) { o.at += Seconds(1); }));
  EXPECT_TRUE(changed([](auto&, auto&, auto& k) { k.secret_access_key = Secret("other"); }));
  EXPECT_TRUE(changed([](auto&, auto&, auto& k) { k.session_token = Secret("token"); }));
}

}  // namespace
}  // namespace imgrec::aws::sigv4_test
