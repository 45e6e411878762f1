#include "lib/http/client/curl_client.hpp"

#include <gmock/gmock.h>

#include <atomic>

#include "lib/http/client/origin.hpp"
#include "lib/http/server/server.hpp"
#include "tests/lib/http/raw_client.hpp"

namespace imgrec::curl_client_test {
namespace {

using test::Imposter;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;
using testing::Pair;

class CurlClient : public testing::Test {
 protected:
  /// A server that answers with what it was asked.
  CurlClient()
      : server_(options(), [](Request request, Responder responder) { answer(std::move(request), responder); }) {
    port_ = server_.start().value();
  }
  std::string url(const std::string& path) const { return "http://127.0.0.1:" + std::to_string(port_) + path; }
  Result<HttpClientResponse> send(const HttpClientRequest& request, std::stop_token stop = {}) {
    return client_->send(request, std::move(stop));
  }
  static HttpClientRequest get(const std::string& url) {
    HttpClientRequest request;
    request.url = url;
    return request;
  }
  /// "timeout" …, or "answered".
  std::string code_of(const HttpClientRequest& request, std::stop_token stop = {}) {
    const auto response = send(request, std::move(stop));
    return response ? "answered" : response.error().code;
  }

  static ServerOptions options() { return {.port = 0}; }
  static void answer(Request request, Responder& responder) {
    std::string seen = request.method + " " + request.target + "\n";
    for (const auto& [name, value] : request.headers) seen += name + ": " + value + "\n";
    responder.send({.status = request.path == "/missing" ? 404 : 200,
                    .headers = {{"X-Seen", "yes"}},
                    .body = seen + "\n" + request.body});
  }

  Server server_;
  int port_ = 0;
  std::unique_ptr<HttpClient> client_ = make_curl_client({.user_agent = "imgrec/test"});
};

TEST_F(CurlClient, SendsWhatItIsTold) {
  HttpClientRequest request;
  request.method = "PUT";
  request.url = url("/a%20b?x=1");
  request.headers = {{"X-One", "1"}, {"X-Empty", ""}};
  request.body = std::string("bo\0dy", 5);
  const auto response = send(request);
  ASSERT_TRUE(response) << describe(response.error());
  EXPECT_EQ(response->status, 200);
  EXPECT_THAT(response->headers, Contains(Pair("x-seen", "yes")));
  EXPECT_THAT(response->body, testing::StartsWith("PUT /a%20b?x=1\n"));
  EXPECT_THAT(response->body, HasSubstr("\nx-one: 1\n"));
  EXPECT_THAT(response->body, HasSubstr("\nx-empty: \n"));
  EXPECT_THAT(response->body, HasSubstr("\nuser-agent: imgrec/test\n"));
  EXPECT_THAT(response->body, HasSubstr("\ncontent-length: 5\n"));
  EXPECT_THAT(response->body, Not(HasSubstr("content-type")));
  EXPECT_THAT(response->body, Not(HasSubstr("expect")));
  EXPECT_TRUE(response->body.ends_with(std::string("\n\nbo\0dy", 7)));
}

TEST_F(CurlClient, KnowsEveryMethod) {
  for (const std::string method : {"GET", "POST", "PUT", "DELETE", "PATCH"}) {
    auto request = get(url("/"));
    request.method = method;
    const auto response = send(request);
    ASSERT_TRUE(response);
    EXPECT_THAT(response->body, testing::StartsWith(method + " /\n"));
  }
  auto head = get(url("/"));
  head.method = "HEAD";
  const auto response = send(head);
  ASSERT_TRUE(response);
  EXPECT_EQ(response->body, "");
  EXPECT_THAT(response->headers, Contains(Pair("content-length", Not("0"))));
}

TEST_F(CurlClient, AnyStatusIsAResponse) {
  const auto response = send(get(url("/missing")));
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 404);
}

// A proxy of the environment for as long as it lives: the test's own server, which answers whatever host is asked for.
class ProxyOfTheEnvironment {
 public:
  explicit ProxyOfTheEnvironment(const std::string& url) {
    for (const char* name : kNames) ::setenv(name, url.c_str(), 1);
  }
  ~ProxyOfTheEnvironment() {
    for (const char* name : kNames) ::unsetenv(name);
    ::unsetenv("no_proxy");
  }

 private:
  static constexpr const char* kNames[] = {"http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"};
};

TEST_F(CurlClient, AProxyOfTheEnvironmentIsUsedButForWhatNoProxyNames) {
  const ProxyOfTheEnvironment proxy(url(""));
  const auto response = send(get("http://service.invalid/x"));
  ASSERT_TRUE(response) << describe(response.error());
  EXPECT_THAT(response->body, HasSubstr("\nhost: service.invalid\n"));
  ::setenv("no_proxy", "other.example,.invalid", 1);
  EXPECT_EQ(code_of(get("http://service.invalid/x")), "connection_failed");
  ::setenv("no_proxy", "other.example", 1);
  EXPECT_EQ(code_of(get("http://service.invalid/x")), "answered");
  HttpClientRequest direct = get("http://service.invalid/x");
  direct.direct = true;
  EXPECT_EQ(code_of(direct), "connection_failed");
  EXPECT_EQ(code_of(get("http://service.invalid/x")), "answered") << "only that one request";
}

TEST_F(CurlClient, ThisMachinesOwnAddressesAreAskedWithoutAProxy) {
  const Imposter stranger([](int) {});
  const ProxyOfTheEnvironment proxy(stranger.url());
  EXPECT_EQ(code_of(get(url("/"))), "answered");
  EXPECT_EQ(stranger.connections(), 0);
}

TEST(IsLocalHost, KnowsLoopbackLinkLocalAndInstanceMetadata) {
  for (const char* host : {"localhost", "LOCALHOST", "a.localhost", "127.0.0.1", "127.1.2.3", "[::1]",
                           "169.254.169.254", "169.254.170.23", "[fe80::1]", "[fd00:ec2::254]", "[FD00:EC2::23]"}) {
    EXPECT_TRUE(is_local_host(host)) << host;
  }
  for (const char* host : {"", "example.com", "127.example.com", "169.254.example.com", "10.0.0.1", "192.168.0.1",
                           "[2001:db8::1]", "localhost.example.com", "128.0.0.1"}) {
    EXPECT_FALSE(is_local_host(host)) << host;
  }
}

TEST_F(CurlClient, ReusesItsConnection) {
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(send(get(url("/"))));
  EXPECT_EQ(server_.stats().connections_total, 1U);
}

TEST_F(CurlClient, ServesManyThreads) {
  std::vector<std::thread> threads;
  std::atomic<int> right = 0;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20; ++i) {
        const auto path = "/" + std::to_string(t) + "/" + std::to_string(i);
        const auto response = send(get(url(path)));
        if (response && response->body.starts_with("GET " + path + "\n")) ++right;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(right, 160);
}

TEST_F(CurlClient, StreamsTheBodyWithStatusAndHeadersKnown) {
  auto request = get(url("/"));
  std::string streamed;
  request.on_body = [&](ByteView piece, int status, const HttpHeaders& headers) -> Result<void> {
    EXPECT_EQ(status, 200);
    EXPECT_THAT(headers, Contains(Pair("x-seen", "yes")));
    streamed += piece;
    return {};
  };
  const auto response = send(request);
  ASSERT_TRUE(response);
  EXPECT_EQ(response->body, "");
  EXPECT_THAT(streamed, testing::StartsWith("GET /"));

  request.url = url("/missing");
  streamed.clear();
  const auto missing = send(request);
  ASSERT_TRUE(missing);
  EXPECT_EQ(streamed, "") << "only of a 2xx";
  EXPECT_THAT(missing->body, testing::StartsWith("GET /missing"));
}

TEST_F(CurlClient, AnErrorOfTheReceiverEndsTheTransfer) {
  auto request = get(url("/"));
  request.on_body = [](ByteView, int, const HttpHeaders&) -> Result<void> {
    return fail(ErrorKind::transient, "disk_full", "The disk is full.");
  };
  EXPECT_EQ(code_of(request), "disk_full");
}

TEST_F(CurlClient, RefusesBadAddressesAndHeaders) {
  for (const std::string bad : {"", "no url", "ftp://127.0.0.1/", "file:///etc/passwd", "http://", "/path"}) {
    const auto response = send(get(bad));
    ASSERT_FALSE(response) << bad;
    EXPECT_EQ(response.error().code, "bad_url") << bad;
    EXPECT_EQ(response.error().kind, ErrorKind::invalid);
  }
  auto split = get(url("/"));
  split.headers = {{"X", "a\r\nEvil: 1"}};
  EXPECT_EQ(code_of(split), "bad_url");
}

TEST_F(CurlClient, SaysThatNobodyListens) {
  int port = 0;
  {
    Imposter gone([](int) {});
    port = gone.port();
  }
  const auto response = send(get("http://127.0.0.1:" + std::to_string(port) + "/secret?token=hush"));
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, "connection_failed");
  EXPECT_EQ(response.error().kind, ErrorKind::transient);
  EXPECT_THAT(response.error().message, HasSubstr("http://127.0.0.1:" + std::to_string(port)));
  EXPECT_THAT(response.error().message, Not(HasSubstr("hush"))) << "a query can hold a signature";
}

TEST_F(CurlClient, SaysThatTheNameIsUnknown) {
  const auto response = send(get("http://no-such-host.invalid/"));
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, "connection_failed");
}

TEST_F(CurlClient, PlainHttpOnATlsAddressFails) {
  auto request = get("https://127.0.0.1:" + std::to_string(port_) + "/");
  const auto response = send(request);
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, "connection_failed");
  EXPECT_THAT(response.error().message, HasSubstr("TLS"));
}

TEST_F(CurlClient, ALostConnectionIsTransient) {
  for (const std::string cut : {"", "HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
                                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"}) {
    Imposter imposter([cut](int fd) {
      Imposter::read_head(fd);
      Imposter::write(fd, cut);
    });
    const auto response = send(get(imposter.url()));
    ASSERT_FALSE(response) << cut;
    EXPECT_EQ(response.error().code, "connection_lost") << cut;
    EXPECT_EQ(response.error().kind, ErrorKind::transient);
  }
}

TEST_F(CurlClient, NoAnswerTimesOut) {
  Imposter silent([](int fd) { Imposter::wait_for_close(fd); });
  auto request = get(silent.url());
  request.timeout = Millis(200);
  const auto late = send(request);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, "timeout");
  EXPECT_EQ(late.error().kind, ErrorKind::transient);
  request.timeout = Millis(60'000);
  request.stall_timeout = Millis(200);
  EXPECT_EQ(code_of(request), "timeout");
}

TEST_F(CurlClient, AStalledBodyTimesOutASlowOneDoesNot) {
  std::atomic<bool> stall = false;
  Imposter slow([&](int fd) {
    Imposter::read_head(fd);
    Imposter::write(fd, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
    for (int i = 0; i < (stall ? 5 : 10); ++i) {
      Imposter::write(fd, "x");
      system_clock().sleep_for(Millis(60), {});  // slowness is what is tested
    }
    if (stall) Imposter::wait_for_close(fd);
  });
  auto request = get(slow.url());
  request.stall_timeout = Millis(400);
  EXPECT_EQ(code_of(request), "answered");
  stall = true;
  EXPECT_EQ(code_of(request), "timeout");
}

TEST_F(CurlClient, AStopEndsItAtOnce) {
  std::stop_source stop;
  Imposter silent([&](int fd) {
    Imposter::read_head(fd);
    stop.request_stop();
    Imposter::wait_for_close(fd);
  });
  auto& clock = system_clock();
  const auto begin = clock.mono_now();
  EXPECT_EQ(code_of(get(silent.url()), stop.get_token()), "cancelled");
  EXPECT_LT(clock.mono_now() - begin, Seconds(5));
  EXPECT_EQ(code_of(get(silent.url()), stop.get_token()), "cancelled") << "stopped beforehand";
  EXPECT_EQ(silent.connections(), 1);
}

TEST_F(CurlClient, AStopLeavesAnAnswerItsGrace) {
  auto& clock = system_clock();
  std::stop_source stop;
  Imposter late([&](int fd) {
    Imposter::read_head(fd);
    stop.request_stop();
    clock.sleep_for(Millis(50), {});  // lateness is what is tested
    Imposter::write(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    Imposter::wait_for_close(fd);
  });
  auto request = get(late.url());
  request.stop_grace = Seconds(30);
  EXPECT_EQ(code_of(request, stop.get_token()), "answered");
  EXPECT_EQ(code_of(request, stop.get_token()), "cancelled") << "stopped beforehand";
  EXPECT_EQ(late.connections(), 1);

  std::stop_source again;
  Imposter silent([&](int fd) {
    Imposter::read_head(fd);
    again.request_stop();
    Imposter::wait_for_close(fd);
  });
  request = get(silent.url());
  request.stop_grace = Millis(200);
  const auto begin = clock.mono_now();
  EXPECT_EQ(code_of(request, again.get_token()), "cancelled");
  EXPECT_GE(clock.mono_now() - begin, Millis(200));
  EXPECT_LT(clock.mono_now() - begin, Seconds(5));
}

TEST_F(CurlClient, LimitsTheResponse) {
  const std::vector<std::string> answers = {
      "HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + std::string(2000, 'x'),
      "HTTP/1.1 200 OK\r\n\r\n" + std::string(2000, 'x'),
      "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n" + std::string(2000, 'x'),
      "HTTP/1.1 200 OK\r\nX: " + std::string(90'000, 'x') + "\r\nX: " + std::string(90'000, 'x') +
          "\r\nX: " + std::string(90'000, 'x') + "\r\n\r\n"};
  for (const auto& answer : answers) {
    Imposter imposter([&](int fd) {
      Imposter::read_head(fd);
      Imposter::write(fd, answer);
    });
    auto request = get(imposter.url());
    request.response_bytes_max = 1000;
    const auto response = send(request);
    ASSERT_FALSE(response);
    EXPECT_EQ(response.error().code, "response_too_large");
    EXPECT_EQ(response.error().kind, ErrorKind::invalid);
    std::size_t streamed = 0;
    request.on_body = [&](ByteView piece, int, const HttpHeaders&) -> Result<void> {
      streamed += piece.size();
      return {};
    };
    EXPECT_EQ(code_of(request), "response_too_large");
    EXPECT_LE(streamed, 1000U);
  }
}

TEST_F(CurlClient, FollowsRedirectsOnlyWhenAsked) {
  const std::string target = url("/moved");
  Imposter redirecting([&](int fd) {
    Imposter::read_head(fd);
    Imposter::write(fd, "HTTP/1.1 302 Found\r\nConnection: close\r\nX-Old: 1\r\nLocation: " + target +
                            "\r\nContent-Length: 3\r\n\r\nold");
  });
  auto request = get(redirecting.url());
  const auto plain = send(request);
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->status, 302);
  EXPECT_EQ(plain->body, "old");

  request.follow_redirects = true;
  std::string streamed;
  request.on_body = [&](ByteView piece, int status, const HttpHeaders& headers) -> Result<void> {
    EXPECT_EQ(status, 200);
    EXPECT_THAT(headers, Not(Contains(Pair("x-old", "1"))));
    streamed += piece;
    return {};
  };
  const auto followed = send(request);
  ASSERT_TRUE(followed) << describe(followed.error());
  EXPECT_EQ(followed->status, 200);
  EXPECT_THAT(streamed, testing::StartsWith("GET /moved\n")) << "no byte of the redirect's body";
}

TEST_F(CurlClient, FollowsNoRedirectToAnotherProtocolNorForEver) {
  std::string location;
  Imposter redirecting([&](int fd) {
    Imposter::read_head(fd);
    Imposter::write(
        fd, "HTTP/1.1 302 Found\r\nConnection: close\r\nLocation: " + location + "\r\nContent-Length: 0\r\n\r\n");
  });
  auto request = get(redirecting.url());
  request.follow_redirects = true;
  for (const std::string& to :
       {std::string("file:///etc/passwd"), std::string("ftp://127.0.0.1/"), redirecting.url("/again")}) {
    location = to;
    EXPECT_EQ(code_of(request), "bad_url") << to;
  }
}

}  // namespace
}  // namespace imgrec::curl_client_test
