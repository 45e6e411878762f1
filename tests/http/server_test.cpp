#include "lib/http/server.hpp"

#include <gmock/gmock.h>

#include <condition_variable>
#include <mutex>

#include "lib/http/problem.hpp"
#include "tests/http/raw_client.hpp"

namespace imgrec {
namespace {

using test::body_of;
using test::eventually;
using test::header_of;
using test::RawClient;
using test::status_of;
using testing::HasSubstr;
using testing::StartsWith;

/// A started server on a free port.
class Running {
 public:
  explicit Running(RequestHandler handler, ServerOptions options = {})
      : server_(free_port(options), std::move(handler)) {
    auto port = server_.start();
    if (!port) throw std::runtime_error(describe(port.error()));
    port_ = *port;
  }
  Server& operator*() { return server_; }
  Server* operator->() { return &server_; }
  int port() const { return port_; }

 private:
  static ServerOptions free_port(ServerOptions options) {
    options.port = 0;
    return options;
  }
  Server server_;
  int port_ = 0;
};

void echo(Request request, Responder responder) {
  responder.send({.headers = {}, .body = request.method + " " + request.path + " " + request.body});
}

/// Keeps the Responders of requests until the test answers them.
class Held {
 public:
  RequestHandler handler() {
    return [this](Request request, Responder responder) {
      std::lock_guard lock(mutex_);
      held_.emplace_back(request.path, std::move(responder));
    };
  }
  std::size_t count() {
    std::lock_guard lock(mutex_);
    return held_.size();
  }
  /// Answers each with its own path.
  void answer_all() {
    for (auto& [path, responder] : take()) responder.send({.headers = {}, .body = path});
  }
  std::vector<std::pair<std::string, Responder>> take() {
    std::lock_guard lock(mutex_);
    return std::exchange(held_, {});
  }

 private:
  std::mutex mutex_;
  std::vector<std::pair<std::string, Responder>> held_;
};

std::string get(const std::string& path) {
  return "GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n";
}
std::string post(const std::string& body) {
  return "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

TEST(Server, AnswersWithTheHeadersOfEveryAnswer) {
  Running server(echo);
  RawClient client(server.port());
  ASSERT_TRUE(client.send(get("/a%20b?x=1")));
  const auto response = client.read_response();
  EXPECT_THAT(response, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_EQ(body_of(response), "GET /a b ");
  EXPECT_EQ(header_of(response, "Content-Length"), "9");
  EXPECT_EQ(header_of(response, "Content-Type"), "text/plain; charset=utf-8");
  EXPECT_EQ(header_of(response, "X-Content-Type-Options"), "nosniff");
  EXPECT_THAT(header_of(response, "Date"), testing::MatchesRegex("..., .. ... 20.. ..:..:.. GMT"));
  EXPECT_THAT(header_of(response, "X-Request-Id"), testing::MatchesRegex("[0-9a-f]{16}"));
  EXPECT_EQ(header_of(response, "Connection"), "");
}

TEST(Server, KeepsTheConnectionOfHttp11) {
  Running server(echo);
  RawClient client(server.port());
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(client.send(post("body " + std::to_string(i))));
    EXPECT_EQ(body_of(client.read_response()), "POST / body " + std::to_string(i));
  }
  EXPECT_EQ(server->stats().connections_total, 1U);
  EXPECT_EQ(server->stats().requests_total, 3U);
}

}  // namespace
}  // namespace imgrec
