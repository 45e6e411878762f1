#include <gmock/gmock.h>

#include <sys/socket.h>

#include <thread>

#include "lib/http/load/engine.hpp"
#include "tests/lib/http/raw_client.hpp"
#include "tests/support/fake_clock.hpp"

namespace imgrec::load::load_engine_test {
namespace {

using test::Imposter;
using testing::ElementsAre;

const std::string kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

std::string answer_to(const std::string& head) {
  return head.starts_with("GET ") ? kOk : "";
}

/// Answers every request until the client closes.
void serve_all(int fd) {
  for (std::string head = Imposter::read_head(fd); !head.empty(); head = Imposter::read_head(fd)) {
    Imposter::write(fd, answer_to(head));
  }
}

struct Ended {
  std::uint64_t tag = 0;
  std::string text;  // body, or the error's code
};

class LoadEngine : public testing::Test {
 protected:
  void connect(const Imposter& server, std::size_t connections_max, Millis timeout = Millis(10'000)) {
    auto made = Engine::make(*parse_target(server.url()),
                             {.connections_max = connections_max, .timeout = timeout, .response_bytes_max = kMiB},
                             system_clock());
    ASSERT_TRUE(made) << made.error().message;
    engine_ = *std::move(made);
  }
  void send(std::uint64_t tag) {
    engine_->send({.tag = tag, .head = "GET /" + std::to_string(tag) + " HTTP/1.1\r\n\r\n"});
  }
  void note(const ExchangeEnd& end) {
    ended_.push_back({end.tag, end.error != nullptr ? end.error->code : std::string(end.response->body)});
    EXPECT_LE(end.sent_at, end.ended_at);
  }
  /// Until nothing is under way any more, or 10 s have passed.
  void work() {
    const MonoTime give_up = system_clock().mono_now() + Seconds(10);
    while (engine_->under_way() > 0 && system_clock().mono_now() < give_up) {
      engine_->work(system_clock().mono_now() + Seconds(1), [this](const ExchangeEnd& end) { note(end); });
    }
    EXPECT_EQ(engine_->under_way(), 0U);
  }
  std::vector<std::string> texts() const {
    std::vector<std::string> all;
    for (const Ended& one : ended_) all.push_back(one.text);
    return all;
  }

  std::unique_ptr<Engine> engine_;
  std::vector<Ended> ended_;
};

TEST_F(LoadEngine, KeepsConnectionsAndLetsTheOthersWait) {
  Imposter server(serve_all);
  connect(server, 2);
  for (std::uint64_t tag = 1; tag <= 20; ++tag) send(tag);
  EXPECT_EQ(engine_->under_way(), 20U);
  work();
  EXPECT_THAT(texts(), testing::AllOf(testing::SizeIs(20), testing::Each("ok")));
  EXPECT_EQ(engine_->connections_opened(), 2U);
  EXPECT_EQ(server.connections(), 2);
  engine_.reset();
}

TEST_F(LoadEngine, TakesRequestsWhileItReportsAnEnd) {
  Imposter server(serve_all);
  connect(server, 1);
  std::uint64_t next = 1;
  send(next);
  while (engine_->under_way() > 0) {
    engine_->work(system_clock().mono_now() + Seconds(1), [&](const ExchangeEnd& end) {
      note(end);
      if (next < 50) send(++next);
      EXPECT_EQ(end.response->body, "ok") << "of the request that ended, whatever was sent since";
    });
  }
  EXPECT_EQ(ended_.size(), 50U);
  EXPECT_EQ(engine_->connections_opened(), 1U);
  engine_.reset();
}

TEST_F(LoadEngine, AConnectionThatWasIdleForLongIsNotTrusted) {
  Imposter server(serve_all);
  test::FakeClock clock;
  auto engine = Engine::make(*parse_target(server.url()), {.connections_max = 1}, clock);
  ASSERT_TRUE(engine);
  const auto once = [&] {
    (*engine)->send({.tag = 1, .head = "GET / HTTP/1.1\r\n\r\n"});
    while ((*engine)->under_way() > 0) {
      (*engine)->work(clock.mono_now() + Seconds(1), [&](const ExchangeEnd& end) { note(end); });
    }
  };
  once();
  clock.advance(Millis(3'000));
  once();
  EXPECT_EQ((*engine)->connections_opened(), 1U);
  clock.advance(Millis(5'000));
  once();
  EXPECT_EQ((*engine)->connections_opened(), 2U);
  EXPECT_THAT(texts(), ElementsAre("ok", "ok", "ok"));
  engine->reset();
}

TEST_F(LoadEngine, AConnectionThatTheServerClosesIsReplaced) {
  Imposter server([](int fd) {
    Imposter::read_head(fd);
    Imposter::write(fd, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
  });
  connect(server, 1);
  for (std::uint64_t tag = 1; tag <= 3; ++tag) send(tag);
  work();
  EXPECT_THAT(texts(), ElementsAre("ok", "ok", "ok"));
  EXPECT_EQ(engine_->connections_opened(), 3U);
}

TEST_F(LoadEngine, EndsWithoutAnAnswerAreErrors) {
  Imposter server([](int fd) {
    const std::string head = Imposter::read_head(fd);
    if (head.starts_with("GET /1 ")) return;  // closes without an answer
    Imposter::write(
        fd, head.starts_with("GET /2 ") ? "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok" : "\x16\x03\x01\r\n\r\n");
  });
  connect(server, 3);
  for (std::uint64_t tag = 1; tag <= 3; ++tag) send(tag);
  work();
  EXPECT_THAT(texts(), testing::UnorderedElementsAre("connection_lost", "connection_lost", "bad_response"));
}

TEST_F(LoadEngine, WhatWaitsTooLongTimesOutOnAConnectionAndInTheQueue) {
  Imposter server([](int fd) { Imposter::wait_for_close(fd); });
  connect(server, 1, Millis(200));
  send(1);
  send(2);
  work();
  EXPECT_THAT(texts(), ElementsAre("timeout", "timeout"));
}

TEST_F(LoadEngine, WhereNobodyListensEachRequestFails) {
  {
    Imposter server(serve_all);
    connect(server, 4);
  }
  for (std::uint64_t tag = 1; tag <= 8; ++tag) send(tag);
  work();
  EXPECT_THAT(texts(), testing::AllOf(testing::SizeIs(8), testing::Each("connect_failed")));
}

TEST_F(LoadEngine, ALargeRequestGoesOutInPieces) {
  std::string received;
  Imposter server([&](int fd) {
    received = Imposter::read_head(fd);
    std::string buffer(65'536, '\0');
    while (received.size() < 8 * kMiB) {
      const ssize_t got = ::recv(fd, buffer.data(), buffer.size(), 0);
      if (got <= 0) return;
      received.append(buffer, 0, static_cast<std::size_t>(got));
    }
    Imposter::write(fd, kOk);
    Imposter::wait_for_close(fd);
  });
  connect(server, 1);
  const std::string first(5 * kMiB, 'a'), second(3 * kMiB, 'b');
  engine_->send({.tag = 1, .head = "POST / HTTP/1.1\r\n\r\n", .body = {first, "", second}});
  work();
  EXPECT_THAT(texts(), ElementsAre("ok"));
  EXPECT_TRUE(received.ends_with(first + second));
  engine_.reset();
}

TEST_F(LoadEngine, WakesFromAnotherThread) {
  Imposter server(serve_all);
  connect(server, 1);
  const MonoTime begin = system_clock().mono_now();
  std::jthread waker([this] { engine_->wake(); });
  for (int i = 0; i < 3; ++i) {
    engine_->work(begin + Seconds(60), [](const ExchangeEnd&) { FAIL() << "nothing was sent"; });
  }
  EXPECT_LT(system_clock().mono_now() - begin, Seconds(30));
}

}  // namespace
}  // namespace imgrec::load::load_engine_test
