#include "tests/lib/http/server_tests.hpp"

namespace imgrec::server_limits_test {
namespace {

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

TEST(Server, BodiesWaitUnreadForRoomInMemory) {
  Held held;
  Running server(held.handler(), {.buffered_bytes_max = 1000, .body_bytes_floor = 0});
  RawClient first(server.port()), second(server.port()), third(server.port());
  ASSERT_TRUE(first.send(post(std::string(600, 'a'))));
  ASSERT_TRUE(eventually([&] { return held.count() == 1; }));
  ASSERT_TRUE(second.send(post(std::string(600, 'b'))));
  ASSERT_TRUE(third.send(get("/no-body")));  // needs no room
  ASSERT_TRUE(eventually([&] { return held.count() == 2; }));
  EXPECT_EQ(server->stats().body_bytes_buffered, 600U);
  held.answer_all();
  EXPECT_EQ(body_of(third.read_response()), "/no-body");
  EXPECT_EQ(body_of(first.read_response()), "600");
  ASSERT_TRUE(eventually([&] { return held.count() == 1; }));
  held.answer_all();
  EXPECT_EQ(body_of(second.read_response()), "600");
  EXPECT_TRUE(eventually([&] { return server->stats().body_bytes_buffered == 0; }));
}

TEST(Server, ABodyBeyondTheMemoryLimitIsTakenWhenItIsAlone) {
  Running server(
      [](Request request, Responder responder) { responder.send({.body = std::to_string(request.body.size())}); },
      {.body_bytes_max = 5000, .buffered_bytes_max = 1000, .body_bytes_floor = 0});
  // Ten at once, each larger than all the room there is: one after the other.
  Clients clients;
  for (int i = 0; i < 10; ++i) {
    clients.push_back(std::make_unique<RawClient>(server.port()));
    const std::string chunked = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nbb8\r\n" +
                                std::string(3000, 'x') + "\r\n0\r\n\r\n";
    ASSERT_TRUE(clients.back()->send(i % 2 == 0 ? post(std::string(3000, 'x')) : chunked));
  }
  for (auto& client : clients) EXPECT_EQ(body_of(client->read_response()), "3000");
}

TEST(Server, AClientThatLeavesTheQueueForMemoryMakesRoomForTheNext) {
  Held held;
  Running server(held.handler(), {.body_bytes_max = 600, .buffered_bytes_max = 1000, .body_bytes_floor = 0});
  RawClient first(server.port()), second(server.port()), third(server.port());
  ASSERT_TRUE(first.send(post(std::string(600, 'a'))));
  ASSERT_TRUE(eventually([&] { return held.count() == 1; }));
  ASSERT_TRUE(second.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n"));
  // The first has the share that is kept for one alone, so 400 are left. The third fits, but waits its turn behind the
  // second, until that one is gone.
  ASSERT_TRUE(eventually([&] { return server->stats().connections_open == 3; }));
  ASSERT_TRUE(second.send("b"));
  EXPECT_TRUE(second.read_some(1, Millis(50)).empty());
  ASSERT_TRUE(third.send(post(std::string(300, 'c'))));
  EXPECT_TRUE(third.read_some(1, Millis(50)).empty());
  EXPECT_EQ(held.count(), 1U);
  second.reset();
  EXPECT_TRUE(eventually([&] { return held.count() == 2; }));
  held.answer_all();
  EXPECT_EQ(body_of(first.read_response()), "600");
  EXPECT_EQ(body_of(third.read_response()), "300");
}

}  // namespace
}  // namespace imgrec::server_limits_test
