#include "lib/http/server/server.hpp"

#include <gmock/gmock.h>

#include <condition_variable>
#include <mutex>

#include "lib/http/server/problem.hpp"
#include "tests/lib/http/raw_client.hpp"

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
  responder.send({.body = request.method + " " + request.path + " " + request.body});
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
    for (auto& [path, responder] : take()) responder.send({.body = path});
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

TEST(Server, BodiesOfAnySizeArriveWhole) {
  Running server(echo);
  RawClient client(server.port());
  for (const std::size_t size : {1UL, 16 * 1024UL, 256 * 1024UL, 1024 * 1024UL, 1024 * 1024UL + 1, 5 * 1024 * 1024UL}) {
    std::string body(size, ' ');
    for (std::size_t i = 0; i < size; ++i) body[i] = static_cast<char>('a' + i * 7 % 26 + i / 4096 % 3);
    ASSERT_TRUE(client.send(post(body)));
    EXPECT_TRUE(body_of(client.read_response()) == "POST / " + body) << size;
  }
}

TEST(Server, AnswersPipelinedRequestsInOrder) {
  Held held;
  Running server(held.handler());
  RawClient client(server.port());
  ASSERT_TRUE(client.send(get("/1") + get("/2") + get("/3")));
  for (const std::string path : {"/1", "/2", "/3"}) {
    // The next one is handed on only after the answer to the one before it.
    ASSERT_TRUE(eventually([&] { return held.count() == 1; }));
    held.answer_all();
    EXPECT_EQ(body_of(client.read_response()), path);
  }
}

TEST(Server, Http10ClosesUnlessAskedToKeep) {
  Running server(echo);
  RawClient closing(server.port());
  ASSERT_TRUE(closing.send("GET / HTTP/1.0\r\n\r\n"));
  EXPECT_EQ(header_of(closing.read_response(), "Connection"), "close");
  EXPECT_TRUE(closing.closed_within(Millis(5000)));

  RawClient keeping(server.port());
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(keeping.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
    EXPECT_EQ(header_of(keeping.read_response(), "Connection"), "keep-alive");
  }
}

TEST(Server, ConnectionCloseIsHonouredInBothDirections) {
  Running server([](Request request, Responder responder) {
    Response response;
    if (request.path == "/close") response.headers = {{"Connection", "close"}};
    responder.send(std::move(response));
  });
  for (const auto& text : {std::string("GET / HTTP/1.1\r\nHost: x\r\nConnection: x, Close\r\n\r\n"), get("/close")}) {
    RawClient client(server.port());
    ASSERT_TRUE(client.send(text));
    EXPECT_EQ(header_of(client.read_response(), "Connection"), "close");
    EXPECT_TRUE(client.closed_within(Millis(5000)));
  }
}

TEST(Server, HeadHasTheLengthButNoBody) {
  Running server(echo);
  RawClient client(server.port());
  ASSERT_TRUE(client.send("HEAD /x HTTP/1.1\r\nHost: x\r\n\r\n" + get("/y")));
  const auto head = client.read_response(true);
  EXPECT_EQ(header_of(head, "Content-Length"), "8");
  EXPECT_EQ(body_of(head), "");
  EXPECT_EQ(body_of(client.read_response()), "GET /y ");
}

TEST(Server, NoContentHasNoLength) {
  Running server(
      [](Request, Responder responder) { responder.send({.status = 204, .content_type = "", .body = "x"}); });
  RawClient client(server.port());
  ASSERT_TRUE(client.send(get("/") + get("/")));
  for (int i = 0; i < 2; ++i) {
    const auto response = client.read_response();
    EXPECT_EQ(status_of(response), 204);
    EXPECT_EQ(header_of(response, "Content-Length"), "");
  }
}

TEST(Server, LeavesOutHeadersThatWouldSplitTheAnswer) {
  Running server([](Request, Responder responder) {
    responder.send(
        {.headers = {{"X-Name", "a\r\nX-Evil: 1"}, {"Bad Name", "1"}, {"Content-Length", "999"}, {"X-Good", "1"}},
         .body = "ok"});
  });
  RawClient client(server.port());
  ASSERT_TRUE(client.send(get("/")));
  const auto response = client.read_response();
  EXPECT_EQ(header_of(response, "X-Evil"), "");
  EXPECT_EQ(header_of(response, "X-Name"), "");
  EXPECT_EQ(header_of(response, "Content-Length"), "2");
  EXPECT_EQ(header_of(response, "X-Good"), "1");
}

TEST(Server, TellsTheHandlerAllAboutTheRequest) {
  std::mutex mutex;
  std::optional<Request> seen;
  Running server([&](Request request, Responder responder) {
    std::lock_guard lock(mutex);
    seen = std::move(request);
    responder.send({.body = "ok"});
  });
  RawClient client(server.port());
  ASSERT_TRUE(
      client.send("PUT http://h/a%2Fb/../c?q=1+2&e=%C3%A9&flag HTTP/1.1\r\nHost: h\r\nX-One: a\r\nx-one: b\r\n"
                  "Transfer-Encoding: chunked\r\n\r\n3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: 1\r\n\r\n"));
  const auto response = client.read_response();
  std::lock_guard lock(mutex);
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->id.str(), header_of(response, "X-Request-Id"));
  EXPECT_EQ(seen->method, "PUT");
  EXPECT_EQ(seen->path, "/a/b/../c");
  EXPECT_EQ(seen->query_value("q"), "1 2");
  EXPECT_EQ(seen->query_value("e"), "\xC3\xA9");
  EXPECT_EQ(seen->query_value("flag"), "");
  EXPECT_EQ(seen->query_value("none"), std::nullopt);
  EXPECT_EQ(seen->header("x-one"), "a");
  EXPECT_EQ(seen->header("trailer"), std::nullopt);
  EXPECT_EQ(seen->body, "abcde");
  EXPECT_THAT(seen->remote, StartsWith("127.0.0.1:"));
}

TEST(Server, ContinuesAnExpectedBody) {
  Running server(echo);
  RawClient client(server.port());
  ASSERT_TRUE(client.send("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"));
  EXPECT_EQ(client.read_response(), "HTTP/1.1 100 Continue\r\n\r\n");
  ASSERT_TRUE(client.send("ok"));
  EXPECT_EQ(body_of(client.read_response()), "POST / ok");
}

TEST(Server, RefusesALargeBodyBeforeItIsSent) {
  Running server(echo, {.body_bytes_max = 10, .make_error = problem_response});
  RawClient client(server.port());
  ASSERT_TRUE(client.send("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\n"));
  const auto response = client.read_response();
  EXPECT_EQ(status_of(response), 413);
  EXPECT_EQ(header_of(response, "Content-Type"), "application/problem+json");
  EXPECT_THAT(body_of(response), HasSubstr("\"code\":\"body_too_large\""));
  EXPECT_THAT(body_of(response), HasSubstr(header_of(response, "X-Request-Id")));
  EXPECT_TRUE(client.closed_within(Millis(5000)));
  EXPECT_EQ(server->stats().refused_total, 1U);
  EXPECT_EQ(server->stats().requests_total, 0U);
}

TEST(Server, AClientStillSendingGetsItsRefusal) {
  Running server(echo, {.body_bytes_max = 1000});
  const std::string body(8 * kMiB, 'x');
  for (const std::string head : {"Content-Length: 8388608\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n800000\r\n"}) {
    RawClient client(server.port());
    ASSERT_TRUE(client.send("POST / HTTP/1.1\r\nHost: x\r\n" + head + body)) << "reset while sending";
    EXPECT_EQ(status_of(client.read_response()), 413);
  }
}

TEST(Server, RefusesTooMuchHeader) {
  Running server(echo, {.header_bytes_max = 200});
  RawClient client(server.port());
  ASSERT_TRUE(client.send("GET / HTTP/1.1\r\nHost: x\r\nX: " + std::string(300, 'x') + "\r\n\r\n"));
  EXPECT_EQ(status_of(client.read_response()), 431);
  EXPECT_TRUE(client.closed_within(Millis(5000)));
}

TEST(Server, RefusesBadFramingAndCloses) {
  Running server(echo);
  RawClient client(server.port());
  ASSERT_TRUE(
      client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" +
                  get("/smuggled")));
  const auto response = client.read_response();
  EXPECT_EQ(status_of(response), 400);
  EXPECT_EQ(header_of(response, "Connection"), "close");
  EXPECT_THAT(body_of(response), StartsWith("bad_framing: "));
  EXPECT_TRUE(client.closed_within(Millis(5000)));
  EXPECT_EQ(server->stats().requests_total, 0U);
}

TEST(Server, ATlsClientIsToldAtOnce) {
  Running server(echo);
  RawClient client(server.port());
  ASSERT_TRUE(client.send(std::string("\x16\x03\x01\x02\x00\x01", 6)));
  EXPECT_THAT(client.read_all(), HasSubstr("tls_on_plain_port"));
}

/// Sends one byte at a time until the other side stops taking them: no single byte is late, the whole is.
std::string send_slowly(RawClient& client, std::string_view bytes) {
  for (const char byte : bytes) {
    if (!client.send({&byte, 1})) break;
    if (auto answer = client.read_some(65536, Millis(20)); !answer.empty()) return answer + client.read_all();
  }
  return client.read_all();
}

TEST(Server, HeadersThatTrickleTimeOut) {
  Running server(echo, {.header_timeout = Millis(150)});
  RawClient client(server.port());
  EXPECT_EQ(status_of(send_slowly(client, "GET / HTTP/1.1\r\nHost: x\r\nX: " + std::string(500, 'x'))), 408);
}

TEST(Server, BodiesThatTrickleTimeOut) {
  Running server(echo, {.body_timeout = Millis(150)});
  for (const std::string head : {"Content-Length: 600\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n258\r\n"}) {
    RawClient client(server.port());
    ASSERT_TRUE(client.send("POST / HTTP/1.1\r\nHost: x\r\n" + head));
    EXPECT_EQ(status_of(send_slowly(client, std::string(600, 'x'))), 408);
  }
  EXPECT_TRUE(eventually([&] { return server->stats().body_bytes_buffered == 0; }));
}

TEST(Server, IdleConnectionsAreClosedSilently) {
  Running server(echo, {.idle_timeout = Millis(100)});
  RawClient fresh(server.port());
  EXPECT_TRUE(fresh.closed_within(Millis(5000)));
  RawClient used(server.port());
  ASSERT_TRUE(used.send(get("/")));
  EXPECT_EQ(status_of(used.read_response()), 200);
  EXPECT_TRUE(used.closed_within(Millis(5000)));
}

TEST(Server, AClientThatDoesNotReadIsCutOff) {
  Running server([](Request, Responder responder) { responder.send({.body = std::string(32 * kMiB, 'x')}); },
                 {.write_timeout = Millis(150)});
  RawClient client(server.port(), RawClient::kSmallWindow);
  ASSERT_TRUE(client.send(get("/")));
  ASSERT_TRUE(eventually([&] { return server->stats().requests_total == 1; }));
  EXPECT_TRUE(eventually([&] { return server->stats().connections_open == 0; }));
}

TEST(Server, WaitingClientsHoldNoThread) {
  Held held;
  Running server(held.handler(), {.blocking_threads = 2});
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 200; ++i) {
    clients.push_back(std::make_unique<RawClient>(server.port()));
    ASSERT_TRUE(clients.back()->send(get("/" + std::to_string(i))));
  }
  ASSERT_TRUE(eventually([&] { return held.count() == 200; }));
  std::thread other([&] { held.answer_all(); });
  other.join();
  for (int i = 0; i < 200; ++i) {
    EXPECT_EQ(body_of(clients[static_cast<std::size_t>(i)]->read_response()), "/" + std::to_string(i));
  }
}

TEST(Server, AcceptPausesAtTheLimit) {
  Held held;
  Running server(held.handler(), {.connections_max = 2});
  RawClient first(server.port()), second(server.port()), third(server.port());
  ASSERT_TRUE(first.send(get("/1")));
  ASSERT_TRUE(second.send(get("/2")));
  ASSERT_TRUE(third.send("GET /3 HTTP/1.1\r\nHost: x\r\n\r\n"));
  ASSERT_TRUE(eventually([&] { return held.count() == 2; }));
  EXPECT_TRUE(third.read_some(1, Millis(50)).empty());
  EXPECT_EQ(server->stats().connections_open, 2U);
  first.reset();  // frees its place although its request is still held
  ASSERT_TRUE(eventually([&] { return held.count() == 3; }));
  held.answer_all();
  EXPECT_EQ(body_of(second.read_response()), "/2");
  EXPECT_EQ(body_of(third.read_response()), "/3");
}

TEST(Server, AHalfClosedClientStillGetsItsAnswer) {
  Held held;
  Running server(held.handler());
  RawClient client(server.port());
  ASSERT_TRUE(client.send(get("/x")));
  client.shutdown_write();
  ASSERT_TRUE(eventually([&] { return held.count() == 1; }));
  EXPECT_TRUE(client.read_some(1, Millis(50)).empty());
  EXPECT_EQ(server->stats().connections_open, 1U);
  held.answer_all();
  EXPECT_EQ(body_of(client.read_response()), "/x");
}

TEST(Server, AResetFreesTheConnectionOfAWaitingClient) {
  Held held;
  Running server(held.handler());
  RawClient client(server.port());
  ASSERT_TRUE(client.send(post("x")));
  ASSERT_TRUE(eventually([&] { return held.count() == 1; }));
  client.reset();
  EXPECT_TRUE(eventually([&] { return server->stats().connections_open == 0; }));
  held.answer_all();  // to nobody
  EXPECT_EQ(server->stats().body_bytes_buffered, 0U);
}

/// A handler that blocks (and so keeps its request's bytes) until it is let go.
class Gated {
 public:
  RequestHandler handler() {
    return [this](Request request, Responder responder) {
      std::unique_lock lock(mutex_);
      ++inside_;
      changed_.notify_all();
      changed_.wait(lock, [&] { return let_go_ > 0; });
      --let_go_;
      --inside_;
      responder.send({.body = std::to_string(request.body.size())});
    };
  }
  int inside() {
    std::lock_guard lock(mutex_);
    return inside_;
  }
  void let_go(int count) {
    std::lock_guard lock(mutex_);
    let_go_ += count;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int inside_ = 0;
  int let_go_ = 0;
};

TEST(Server, BodiesWaitUnreadForRoomInMemory) {
  Gated gated;
  Running server(gated.handler(), {.blocking_threads = 4, .buffered_bytes_max = 1000});
  RawClient first(server.port()), second(server.port()), third(server.port());
  ASSERT_TRUE(first.send(post(std::string(600, 'a'))));
  ASSERT_TRUE(eventually([&] { return gated.inside() == 1; }));
  ASSERT_TRUE(second.send(post(std::string(600, 'b'))));
  ASSERT_TRUE(third.send(get("/no-body")));  // needs no room
  ASSERT_TRUE(eventually([&] { return gated.inside() == 2; }));
  EXPECT_EQ(server->stats().body_bytes_buffered, 600U);
  gated.let_go(3);
  EXPECT_EQ(body_of(first.read_response()), "600");
  EXPECT_EQ(body_of(second.read_response()), "600");
  EXPECT_EQ(body_of(third.read_response()), "0");
  EXPECT_TRUE(eventually([&] { return server->stats().body_bytes_buffered == 0; }));
}

TEST(Server, ABodyBeyondTheMemoryLimitIsTakenWhenItIsAlone) {
  Running server(
      [](Request request, Responder responder) { responder.send({.body = std::to_string(request.body.size())}); },
      {.body_bytes_max = 5000, .buffered_bytes_max = 1000});
  // Ten at once, each larger than all the room there is: one after the other.
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 10; ++i) {
    clients.push_back(std::make_unique<RawClient>(server.port()));
    const std::string chunked = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nbb8\r\n" +
                                std::string(3000, 'x') + "\r\n0\r\n\r\n";
    ASSERT_TRUE(clients.back()->send(i % 2 == 0 ? post(std::string(3000, 'x')) : chunked));
  }
  for (auto& client : clients) EXPECT_EQ(body_of(client->read_response()), "3000");
}

TEST(Server, AClientThatLeavesTheQueueForMemoryMakesRoomForTheNext) {
  Gated gated;
  Running server(gated.handler(), {.blocking_threads = 4, .buffered_bytes_max = 1000});
  RawClient first(server.port()), second(server.port()), third(server.port());
  ASSERT_TRUE(first.send(post(std::string(600, 'a'))));
  ASSERT_TRUE(eventually([&] { return gated.inside() == 1; }));
  ASSERT_TRUE(second.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n"));
  // The third fits, but waits its turn behind the second, until that one is gone.
  ASSERT_TRUE(eventually([&] { return server->stats().connections_open == 3; }));
  ASSERT_TRUE(second.send("b"));
  EXPECT_TRUE(second.read_some(1, Millis(50)).empty());
  ASSERT_TRUE(third.send(post(std::string(300, 'c'))));
  EXPECT_TRUE(third.read_some(1, Millis(50)).empty());
  EXPECT_EQ(gated.inside(), 1);
  second.reset();
  EXPECT_TRUE(eventually([&] { return gated.inside() == 2; }));
  gated.let_go(2);
  EXPECT_EQ(body_of(first.read_response()), "600");
  EXPECT_EQ(body_of(third.read_response()), "300");
}

TEST(Server, ADroppedResponderAnswers500) {
  Running server([](Request request, Responder) {
    if (request.path == "/throw") throw std::runtime_error("as the test wants");
  });
  RawClient client(server.port());
  ASSERT_TRUE(client.send(get("/") + get("/throw")));
  EXPECT_EQ(status_of(client.read_response()), 500);
  EXPECT_EQ(status_of(client.read_response()), 500);
}

TEST(Server, OnlyTheFirstAnswerCounts) {
  std::atomic<int> counted = 0;
  Running server([&](Request, Responder responder) {
    counted += responder.send({.body = "first"}) ? 1 : 0;
    counted += responder.send({.body = "second"}) ? 10 : 0;
  });
  RawClient client(server.port());
  ASSERT_TRUE(client.send(get("/") + get("/")));
  EXPECT_EQ(body_of(client.read_response()), "first");
  EXPECT_EQ(body_of(client.read_response()), "first");
  EXPECT_TRUE(eventually([&] { return counted == 2; })) << counted;  // the answer may be read before send() returns
}

TEST(Server, AnImpossibleStatusIs500) {
  Running server([](Request, Responder responder) { responder.send({.status = 42, .body = ""}); });
  RawClient client(server.port());
  ASSERT_TRUE(client.send(get("/")));
  EXPECT_EQ(status_of(client.read_response()), 500);
}

TEST(Server, DrainAnswersWhatIsInProgress) {
  Held held;
  Running server(held.handler());
  RawClient idle(server.port()), waiting(server.port());
  ASSERT_TRUE(idle.send(get("/idle")));
  ASSERT_TRUE(waiting.send(get("/waiting")));
  ASSERT_TRUE(eventually([&] { return held.count() == 2; }));
  for (auto& [path, responder] : held.take()) {
    if (path == "/idle") {
      responder.send({.body = "now idle"});
      EXPECT_EQ(body_of(idle.read_response()), "now idle");
    } else {
      std::thread drainer([&] { EXPECT_TRUE(server->drain(Millis(10'000))); });
      EXPECT_TRUE(idle.closed_within(Millis(5000)));
      EXPECT_THROW(RawClient(server.port()), std::runtime_error);
      responder.send({.body = "in time"});
      const auto response = waiting.read_response();
      EXPECT_EQ(body_of(response), "in time");
      EXPECT_EQ(header_of(response, "Connection"), "close");
      drainer.join();
    }
  }
  EXPECT_EQ(server->stats().connections_open, 0U);
}

TEST(Server, DrainCutsWhatIsNotAnsweredInTime) {
  Held held;
  Running server(held.handler());
  RawClient client(server.port());
  ASSERT_TRUE(client.send(get("/x")));
  ASSERT_TRUE(eventually([&] { return held.count() == 1; }));
  EXPECT_FALSE(server->drain(Millis(100)));
  EXPECT_TRUE(client.closed_within(Millis(5000)));
  held.answer_all();
}

TEST(Server, RespondersMayOutliveTheServer) {
  Held held;
  {
    Running server(held.handler());
    RawClient client(server.port());
    ASSERT_TRUE(client.send(get("/a")));
    RawClient second(server.port());
    ASSERT_TRUE(second.send(get("/b")));
    ASSERT_TRUE(eventually([&] { return held.count() == 2; }));
  }
  auto late = held.take();
  late[0].second.send({.body = "late"});
}  // the other one is dropped unused

TEST(Server, IsDestroyedSafelyWhileBusy) {
  for (int round = 0; round < 5; ++round) {
    std::vector<std::unique_ptr<RawClient>> clients;
    std::vector<std::thread> answering;
    std::mutex mutex;
    {
      Running server(
          [&](Request, Responder responder) {
            std::lock_guard lock(mutex);
            answering.emplace_back([r = std::move(responder)]() mutable { r.send({.body = "x"}); });
          },
          {.blocking_threads = 2});
      for (int i = 0; i < 20; ++i) {
        clients.push_back(std::make_unique<RawClient>(server.port()));
        // Some idle, some in their headers, some in their body, some complete.
        if (i % 4 == 1) clients.back()->send("GET / HT");
        if (i % 4 == 2) clients.back()->send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab");
        if (i % 4 == 3) clients.back()->send(get("/"));
      }
    }
    for (auto& thread : answering) thread.join();
  }
}

TEST(Server, ManyClientsAtOnceGetTheirOwnAnswers) {
  Running server([](Request request, Responder responder) { responder.send({.body = std::move(request.body)}); },
                 {.blocking_threads = 2});
  std::vector<std::thread> threads;
  std::atomic<int> right = 0;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      RawClient client(server.port());
      for (int i = 0; i < 50; ++i) {
        const std::string body =
            std::to_string(t) + "/" + std::to_string(i) + std::string(static_cast<std::size_t>(i) * 997, 'x');
        if (client.send(post(body)) && body_of(client.read_response()) == body) ++right;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(right, 400);
}

TEST(Server, SaysWhyItCannotListen) {
  Running server(echo);
  Server second({.port = server.port()}, echo);
  const auto taken = second.start();
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code, "cannot_listen");
  EXPECT_EQ(taken.error().kind, ErrorKind::denied);
  EXPECT_THAT(taken.error().message, HasSubstr("127.0.0.1:" + std::to_string(server.port())));
  EXPECT_THAT(taken.error().message, HasSubstr("--port"));
  for (const ServerOptions& wrong : {ServerOptions{.bind = "192.0.2.1", .port = 0}, ServerOptions{.port = 70000}}) {
    Server nowhere(wrong, echo);
    const auto failed = nowhere.start();
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().kind, ErrorKind::invalid);
    EXPECT_EQ(failed.error().code, "cannot_listen");
  }
}

}  // namespace
}  // namespace imgrec
