#include "tests/lib/http/server_tests.hpp"

namespace imgrec::server_test {
namespace {

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

TEST(Server, TakesTheClientsRequestIdWhenItIsHarmless) {
  Running server(echo);
  RawClient client(server.port());
  const auto id_for = [&](const std::string& own) {
    EXPECT_TRUE(client.send("GET / HTTP/1.1\r\nHost: x\r\nX-Request-Id: " + own + "\r\n\r\n"));
    return header_of(client.read_response(), "X-Request-Id");
  };
  EXPECT_EQ(id_for("f81d4fae-7dec-11d0_a765.1"), "f81d4fae-7dec-11d0_a765.1");
  for (const std::string& own :
       {std::string("a b"), std::string("a\"b"), std::string("caf\xC3\xA9"), std::string(65, 'a')}) {
    EXPECT_THAT(id_for(own), testing::MatchesRegex("[0-9a-f]{16}")) << own;
  }
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

}  // namespace
}  // namespace imgrec::server_test
