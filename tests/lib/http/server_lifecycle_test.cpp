
#include <thread>

#include "tests/lib/http/server_tests.hpp"

namespace imgrec::server_lifecycle_test {
namespace {

TEST(Server, WaitingClientsHoldNoThread) {
  Held held;
  Running server(held.handler());
  Clients clients;
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
  for (auto& [request, responder] : held.take()) {
    if (request.path == "/idle") {
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
    Clients clients;
    std::vector<std::thread> answering;
    std::mutex mutex;
    {
      Running server([&](Request, Responder responder) {
        std::lock_guard lock(mutex);
        answering.emplace_back([r = std::move(responder)]() mutable { r.send({.body = "x"}); });
      });
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
  Running server([](Request request, Responder responder) { responder.send({.body = std::move(request.body)}); });
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
}  // namespace imgrec::server_lifecycle_test
