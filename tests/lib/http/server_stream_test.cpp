// Streamed answers, and what the handler learns of its client.

#include <thread>

#include "tests/lib/http/server_tests.hpp"

namespace imgrec::server_stream_test {
namespace {

using Write = ResponseStream::Write;

std::string read_until(RawClient& client, std::string_view end) {
  std::string all;
  while (!all.ends_with(end)) {
    const auto piece = client.read_some();
    if (piece.empty()) break;
    all += piece;
  }
  return all;
}

/// The text of chunks, as far as it goes.
std::string unchunk(std::string_view chunks) {
  std::string text;
  while (!chunks.empty()) {
    const std::size_t size = std::stoull(std::string(chunks.substr(0, chunks.find("\r\n"))), nullptr, 16);
    chunks.remove_prefix(chunks.find("\r\n") + 2);
    if (size == 0) break;
    text += chunks.substr(0, size);
    chunks.remove_prefix(std::min(chunks.size(), size + 2));
  }
  return text;
}

void stream_three(Request, Responder responder) {
  auto stream = responder.open_stream({.content_type = "text/csv", .body = "one,"});
  EXPECT_EQ(stream.write("two,"), Write::taken);
  EXPECT_EQ(stream.write("three"), Write::taken);
  stream.end();
  EXPECT_EQ(stream.write("four"), Write::closed);
}

TEST(ServerStream, IsChunkedInHttp11AndKeepsTheConnection) {
  Running server(stream_three);
  RawClient client(server.port());
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(client.send(get("/")));
    const auto response = read_until(client, "\r\n0\r\n\r\n");
    EXPECT_EQ(status_of(response), 200);
    EXPECT_EQ(header_of(response, "Transfer-Encoding"), "chunked");
    EXPECT_EQ(header_of(response, "Content-Type"), "text/csv");
    EXPECT_EQ(header_of(response, "Content-Length"), "");
    EXPECT_EQ(unchunk(body_of(response)), "one,two,three");
  }
}

TEST(ServerStream, EndsWithTheConnectionInHttp10) {
  Running server(stream_three);
  RawClient client(server.port());
  ASSERT_TRUE(client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
  const auto response = client.read_all();
  EXPECT_EQ(header_of(response, "Transfer-Encoding"), "");
  EXPECT_EQ(header_of(response, "Connection"), "close");
  EXPECT_EQ(body_of(response), "one,two,three");
}

TEST(ServerStream, HasNoBodyForHead) {
  std::atomic<bool> gone = false;
  std::mutex mutex;
  ResponseStream stream;
  Running server([&](Request request, Responder responder) {
    if (request.method != "HEAD") return responder.send({.body = "next"}), void();
    std::lock_guard lock(mutex);
    stream = responder.open_stream({.body = "one"}, {.on_client_gone = [&] { gone = true; }});
  });
  RawClient client(server.port());
  ASSERT_TRUE(client.send("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n" + get("/next")));
  const auto head = client.read_response(true);
  EXPECT_EQ(header_of(head, "Transfer-Encoding"), "chunked");
  EXPECT_EQ(body_of(client.read_response()), "next");
  EXPECT_TRUE(gone);
  std::lock_guard lock(mutex);
  EXPECT_EQ(stream.write("more"), Write::closed);
}

/// Opens a stream for the one request and keeps it for the test.
class OneStream {
 public:
  RequestHandler handler() {
    return [this](Request, Responder responder) {
      auto stream = responder.open_stream(
          {.body = "begin "},
          {.on_room = [this] { ++rooms; }, .on_drain = [this] { ++drains; }, .on_client_gone = [this] { ++gone; }});
      std::lock_guard lock(mutex_);
      stream_ = std::move(stream);
      open = true;
    };
  }
  Write write(std::string_view piece) {
    std::lock_guard lock(mutex_);
    return stream_.write(piece);
  }
  void end() {
    std::lock_guard lock(mutex_);
    stream_.end();
  }
  void abandon() {
    std::lock_guard lock(mutex_);
    stream_ = {};
  }
  std::atomic<bool> open = false;
  std::atomic<int> rooms = 0, drains = 0, gone = 0;

 private:
  std::mutex mutex_;
  ResponseStream stream_;
};

TEST(ServerStream, PushesBackAndGoesOn) {
  OneStream stream;
  Running server(stream.handler(), {.stream_bytes_max = 64 * kKiB});
  RawClient client(server.port(), RawClient::kSmallWindow);
  ASSERT_TRUE(client.send(get("/")));
  ASSERT_TRUE(eventually([&] { return stream.open.load(); }));
  const std::string piece(10'000, 'x');
  constexpr std::size_t kTotal = 20 * kMiB;  // far more than the buffers of the system take
  std::size_t written = 0;
  std::thread writer([&] {
    while (written < kTotal) {
      const int rooms = stream.rooms;
      const auto outcome = stream.write(piece);
      if (outcome == Write::closed) return;
      if (outcome == Write::taken) {
        written += piece.size();
      } else if (!eventually([&] { return stream.rooms > rooms; })) {
        return;
      }
    }
    stream.end();
  });
  const auto response = read_until(client, "\r\n0\r\n\r\n");
  writer.join();
  EXPECT_GE(stream.rooms, 1);
  EXPECT_EQ(unchunk(body_of(response)).size(), 6 + written);
  EXPECT_GE(written, kTotal);
  EXPECT_EQ(stream.gone, 0);
}

TEST(ServerStream, BuffersNoMoreThanItsLimit) {
  OneStream stream;
  Running server(stream.handler(), {.stream_bytes_max = 64 * kKiB});
  RawClient client(server.port(), RawClient::kSmallWindow);
  ASSERT_TRUE(client.send(get("/")));
  ASSERT_TRUE(eventually([&] { return stream.open.load(); }));
  // What is too large for all buffers of the system stands still in the stream's.
  ASSERT_EQ(stream.write(std::string(32 * kMiB, 'x')), Write::taken);
  EXPECT_EQ(stream.write("y"), Write::full);
  client.reset();
  EXPECT_TRUE(eventually([&] { return stream.gone == 1; }));
  EXPECT_EQ(stream.write("y"), Write::closed);
}

TEST(ServerStream, AnAbandonedStreamIsNoWholeAnswer) {
  OneStream stream;
  Running server(stream.handler());
  RawClient client(server.port());
  ASSERT_TRUE(client.send(get("/")));
  ASSERT_TRUE(eventually([&] { return stream.open.load(); }));
  stream.abandon();
  const auto response = client.read_all();
  EXPECT_THAT(response, EndsWith("begin \r\n"));
}

TEST(ServerStream, TellsThatTheClientHasLeft) {
  for (const bool orderly : {true, false}) {
    OneStream stream;
    Running server(stream.handler());
    RawClient client(server.port());
    ASSERT_TRUE(client.send(get("/")));
    ASSERT_THAT(read_until(client, "begin \r\n"), HasSubstr("begin"));
    if (orderly) {
      client.shutdown_write();
    } else {
      client.reset();
    }
    EXPECT_TRUE(eventually([&] { return stream.gone == 1; }));
    EXPECT_EQ(stream.write("more"), Write::closed);
    EXPECT_TRUE(eventually([&] { return server->stats().connections_open == 0; }));
  }
}

TEST(ServerStream, EndsInAnOrderlyWayAtDrain) {
  OneStream stream;
  Running server(stream.handler());
  RawClient client(server.port());
  ASSERT_TRUE(client.send(get("/")));
  ASSERT_THAT(read_until(client, "begin \r\n"), HasSubstr("begin"));
  std::thread drainer([&] { EXPECT_TRUE(server->drain(Millis(10'000))); });
  EXPECT_TRUE(eventually([&] { return stream.drains == 1; }));
  EXPECT_EQ(stream.write("end"), Write::taken);
  stream.end();
  EXPECT_EQ(client.read_all(), "3\r\nend\r\n0\r\n\r\n");
  drainer.join();
  EXPECT_EQ(stream.gone, 0);
}

TEST(ServerStream, OneThatDoesNotEndIsCutOffAtTheDrainsDeadline) {
  OneStream stream;
  Running server(stream.handler());
  RawClient client(server.port());
  ASSERT_TRUE(client.send(get("/")));
  ASSERT_THAT(read_until(client, "begin \r\n"), HasSubstr("begin"));
  EXPECT_FALSE(server->drain(Millis(50)));
  EXPECT_EQ(stream.gone, 1);
  EXPECT_EQ(stream.write("late"), Write::closed);
}

TEST(ServerStream, OutlivesTheServer) {
  OneStream stream;
  {
    Running server(stream.handler());
    RawClient client(server.port());
    ASSERT_TRUE(client.send(get("/")));
    ASSERT_TRUE(eventually([&] { return stream.open.load(); }));
  }
  EXPECT_EQ(stream.write("late"), Write::closed);
  stream.end();
}

/// Asks to be told of its client's leaving.
class Watching {
 public:
  explicit Watching(ClientEof eof) : eof_(eof) {}
  RequestHandler handler() {
    return [this, hold = held.handler()](Request request, Responder responder) {
      responder.on_client_gone([this] { ++gone; }, eof_);
      hold(std::move(request), std::move(responder));
    };
  }
  Held held;
  std::atomic<int> gone = 0;

 private:
  const ClientEof eof_;
};

TEST(ServerClientGone, IsToldOfAnOrderlyCloseAndOfAReset) {
  for (const bool orderly : {true, false}) {
    Watching watching(ClientEof::gone);
    Running server(watching.handler());
    RawClient client(server.port());
    ASSERT_TRUE(client.send(post("body")));
    ASSERT_TRUE(eventually([&] { return watching.held.count() == 1; }));
    if (orderly) {
      client.shutdown_write();
    } else {
      client.reset();
    }
    EXPECT_TRUE(eventually([&] { return watching.gone == 1; }));
    EXPECT_TRUE(eventually([&] { return server->stats().connections_open == 0; }));
    watching.held.answer_all();  // to nobody
    EXPECT_EQ(watching.gone, 1);
  }
}

TEST(ServerClientGone, AnOrderlyCloseShowsBehindARequestThatFollowsEarly) {
  Watching watching(ClientEof::gone);
  Running server(watching.handler());
  RawClient client(server.port());
  ASSERT_TRUE(client.send(get("/first")));
  ASSERT_TRUE(eventually([&] { return watching.held.count() == 1; }));
  ASSERT_TRUE(client.send(get("/second")));
  client.shutdown_write();
  EXPECT_TRUE(eventually([&] { return watching.gone == 1; }));
}

TEST(ServerClientGone, AHalfClosedClientGetsItsAnswerWhereThatIsWanted) {
  Watching watching(ClientEof::ignored);
  Running server(watching.handler());
  RawClient client(server.port());
  ASSERT_TRUE(client.send(get("/x")));
  client.shutdown_write();
  ASSERT_TRUE(eventually([&] { return watching.held.count() == 1; }));
  EXPECT_TRUE(client.read_some(1, Millis(50)).empty());
  watching.held.answer_all();
  EXPECT_EQ(body_of(client.read_response()), "/x");
  EXPECT_EQ(watching.gone, 0);
}

TEST(ServerClientGone, IsNotToldOnceItIsAnswered) {
  Watching watching(ClientEof::gone);
  Running server(watching.handler());
  RawClient client(server.port());
  ASSERT_TRUE(client.send(get("/1") + get("/2")));
  for (const std::string path : {"/1", "/2"}) {
    ASSERT_TRUE(eventually([&] { return watching.held.count() == 1; }));
    watching.held.answer_all();
    EXPECT_EQ(body_of(client.read_response()), path);
  }
  client.reset();
  EXPECT_TRUE(eventually([&] { return server->stats().connections_open == 0; }));
  EXPECT_EQ(watching.gone, 0);
}

TEST(ServerClientGone, IsToldAtOnceWhenItHasLeftAlready) {
  Held held;
  Running server(held.handler());
  RawClient client(server.port());
  ASSERT_TRUE(client.send(get("/")));
  ASSERT_TRUE(eventually([&] { return held.count() == 1; }));
  client.reset();
  ASSERT_TRUE(eventually([&] { return server->stats().connections_open == 0; }));
  auto taken = held.take();
  std::atomic<bool> gone = false, stream_gone = false;
  taken[0].second.on_client_gone([&] { gone = true; });
  EXPECT_TRUE(eventually([&] { return gone.load(); }));
  auto stream = taken[0].second.open_stream({}, {.on_client_gone = [&] { stream_gone = true; }});
  EXPECT_TRUE(eventually([&] { return stream_gone.load(); }));
  EXPECT_EQ(stream.write("x"), Write::closed);
}

TEST(ServerClientGone, ACallbackThatThrowsEndsNothing) {
  Running server([](Request request, Responder responder) {
    if (request.path == "/") return responder.send({.body = "ok"}), void();
    responder.on_client_gone(
        [held = std::make_shared<Responder>(std::move(responder))] { throw std::runtime_error("as the test wants"); });
  });
  for (int i = 0; i < 2; ++i) {
    RawClient leaving(server.port());
    ASSERT_TRUE(leaving.send(get("/wait")));
    ASSERT_TRUE(eventually([&] { return server->stats().requests_total == 2U * static_cast<unsigned>(i) + 1; }));
    leaving.reset();
    ASSERT_TRUE(eventually([&] { return server->stats().connections_open == 0; }));
    RawClient client(server.port());
    ASSERT_TRUE(client.send(get("/")));
    EXPECT_EQ(body_of(client.read_response()), "ok");
    client.reset();
    ASSERT_TRUE(eventually([&] { return server->stats().connections_open == 0; }));
  }
}

// A header value of 64 KiB is more than the library beneath can hold: it throws.
TEST(ServerStream, IsClosedWhenTheSessionFailsBeforeItsHead) {
  std::atomic<int> gone = 0;
  ResponseStream stream;
  Running server([&](Request, Responder responder) {
    Response head;
    head.headers.emplace_back("X-Long", std::string(70'000, 'x'));
    stream = responder.open_stream(std::move(head), {.on_client_gone = [&] { ++gone; }});
  });
  RawClient client(server.port());
  ASSERT_TRUE(client.send(get("/")));
  EXPECT_EQ(status_of(client.read_response()), 500);
  EXPECT_EQ(gone, 1);
  EXPECT_EQ(stream.write("x"), Write::closed);
}

}  // namespace
}  // namespace imgrec::server_stream_test
