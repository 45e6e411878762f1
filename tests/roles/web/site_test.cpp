#include "roles/web/access/site.hpp"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "roles/web/access/session.hpp"
#include "roles/web/api/unpack.hpp"
#include "tests/roles/web/web_node.hpp"

namespace imgrec::site_test {
namespace {

using test::jpeg_of;

Request with_headers(HttpHeaders headers) {
  Request request;
  request.headers = std::move(headers);
  return request;
}

TEST(IsSameSite, ComparesOriginWithHost) {
  EXPECT_TRUE(is_same_site({}, {}));
  EXPECT_TRUE(is_same_site(with_headers({{"host", "h:8000"}, {"origin", "http://H:8000"}}), {}));
  EXPECT_TRUE(is_same_site(with_headers({{"host", "inner"}, {"x-forwarded-host", "h"}, {"origin", "https://h"}}), {}));
  EXPECT_FALSE(is_same_site(with_headers({{"host", "h:8000"}, {"origin", "http://h:8001"}}), {}));
  EXPECT_FALSE(is_same_site(with_headers({{"host", "h"}, {"origin", "http://evil.example"}}), {}));
  EXPECT_FALSE(is_same_site(with_headers({{"host", "h"}, {"origin", "null"}}), {}));
  EXPECT_FALSE(is_same_site(with_headers({{"host", "h"}, {"sec-fetch-site", "cross-site"}}), {}));
}

TEST(KnownHost, IsAnAddressLocalhostOrAGivenName) {
  const std::vector<std::string> names = {"Box", "photos.example"};
  EXPECT_TRUE(is_known_host({}, names)) << "HTTP/1.0";
  for (const char* host :
       {"localhost", "LOCALHOST:8000", "app.localhost", "localhost.", "127.0.0.1", "127.0.0.1:8000", "[::1]",
        "[::1]:8000", "10.0.0.7:80", "box", "BOX:8000", "photos.example.", "photos.example:1"}) {
    EXPECT_TRUE(is_known_host(with_headers({{"host", host}}), names)) << host;
  }
  for (const char* host : {"", ":8000", "evil.example", "evil.example:8000", "localhost.evil.example", "notlocalhost",
                           "127.0.0.1.evil.example", "box.evil.example", "xbox", "1.2.3.4a", "[::1", "evil.example."}) {
    EXPECT_FALSE(is_known_host(with_headers({{"host", host}}), names)) << host;
  }
}

// nginx by default: Host is the upstream's.
TEST(IsSameSite, BelievesABrowserThatSaysSo) {
  const auto from_page = [](const std::string& fetch_site) {
    return with_headers(
        {{"host", "127.0.0.1:8000"}, {"origin", "https://photos.example"}, {"sec-fetch-site", fetch_site}});
  };
  EXPECT_TRUE(is_same_site(from_page("same-origin"), {}));
  for (const char* other : {"same-site", "cross-site", "none", ""}) {
    EXPECT_FALSE(is_same_site(from_page(other), {})) << other;
  }
}

TEST(IsSameSite, KnowsItsPublicUrl) {
  const auto from = [](const char* origin) { return with_headers({{"host", "127.0.0.1:8000"}, {"origin", origin}}); };
  for (const char* url : {"https://Photos.example", "https://photos.example/"}) {
    WebConfig web;
    web.public_url = url;
    EXPECT_TRUE(is_same_site(from("https://photos.example"), web));
    EXPECT_FALSE(is_same_site(from("http://photos.example"), web));
    EXPECT_FALSE(is_same_site(from("https://photos.example:8443"), web));
    EXPECT_FALSE(is_same_site(from("https://photos.example.evil"), web));
  }
}

TEST(TrustedProxies, AloneAreBelieved) {
  WebConfig web;
  web.trusted_proxies = "10.0.0.7,::1";
  Request request = with_headers({{"host", "inner"},
                                  {"x-forwarded-host", "photos.example"},
                                  {"x-forwarded-proto", "https"},
                                  {"origin", "https://photos.example"}});
  for (const char* proxy : {"10.0.0.7:4711", "[::ffff:10.0.0.7]:4711", "[::1]:4711"}) {
    request.remote = proxy;
    EXPECT_TRUE(is_same_site(request, web)) << proxy;
    EXPECT_THAT(session_cookie(request, SessionId("s"), web), testing::HasSubstr("; Secure"));
  }
  for (const char* other : {"10.0.0.70:4711", "10.0.0.8:1", "[::2]:4711", ""}) {
    request.remote = other;
    EXPECT_FALSE(is_same_site(request, web)) << other;
    EXPECT_THAT(session_cookie(request, SessionId("s"), web), testing::Not(testing::HasSubstr("Secure")));
  }
  web.trusted_proxies.clear();
  EXPECT_FALSE(is_from_trusted_proxy(request, web)) << "none";
}

TEST(HostOfUrl, HasNoSchemeAndPort) {
  EXPECT_EQ(host_of_url("https://Photos.example:8443/"), "photos.example");
  EXPECT_EQ(host_of_url("http://a"), "a");
  EXPECT_EQ(host_of_url(""), "");
}

TEST(ContentEncoding, OfAnotherKindIsRefusedByNameBeforeTheBodyIsRead) {
  test::Backend backend;
  test::WebNode node(backend);
  const test::HttpAsk packed{
      .method = "POST", .target = "/v1/classify", .headers = {{"Content-Encoding", "br"}}, .body = "compressed"};
  const test::HttpReply refused = node.ask(packed);
  EXPECT_EQ(refused.status, 415);
  EXPECT_EQ(refused.header("accept-encoding"), "gzip");
  const auto problem = nlohmann::json::parse(refused.body);
  EXPECT_EQ(problem["code"], "unsupported_content_encoding");
  EXPECT_THAT(problem["detail"], testing::HasSubstr("br"));
  test::FakeWorker worker(backend);
  test::HttpAsk plain = packed;
  plain.headers = {{"Content-Encoding", "identity"}};
  plain.body = jpeg_of("cat");
  EXPECT_EQ(node.ask(plain).status, 200);
}

// printf '\xff\xd8\xff\xe0cat' | gzip -n
const std::string kPackedCat(
    "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xfb\x7f\xe3\xff\x83\xe4\xc4\x12\x00\x02\x17\x33\x8c\x07\x00\x00\x00", 27);

TEST(ContentEncoding, GzipIsUndone) {
  test::Backend backend;
  test::WebNode node(backend);
  test::FakeWorker worker(backend);
  test::HttpAsk ask{
      .method = "POST", .target = "/v1/classify", .headers = {{"Content-Encoding", "gzip"}}, .body = kPackedCat};
  const test::HttpReply reply = node.ask(ask);
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(nlohmann::json::parse(reply.body)["labels"][0]["label"], "cat");
  ask.body.pop_back();
  const test::HttpReply cut = node.ask(ask);
  EXPECT_EQ(cut.status, 400);
  EXPECT_EQ(nlohmann::json::parse(cut.body)["code"], "bad_gzip");
}

TEST(BodyUnpacker, KeepsNoMoreThanItsTotal) {
  const auto request = [] {
    Request packed;
    packed.headers = {{"content-encoding", "gzip"}};
    packed.body = kPackedCat;
    return packed;
  };
  BodyUnpacker unpacker(10, 13);
  Request first = request(), second = request();
  EXPECT_TRUE(unpacker.unpack(first));
  EXPECT_EQ(first.body, jpeg_of("cat"));
  EXPECT_FALSE(first.header("content-encoding"));
  EXPECT_EQ(unpacker.unpack(second).error().code, "memory_full");
  first = {};
  EXPECT_TRUE(unpacker.unpack(second));
  Request large = request();
  EXPECT_EQ(BodyUnpacker(6, 100).unpack(large).error().code, "body_too_large");
}

}  // namespace
}  // namespace imgrec::site_test
