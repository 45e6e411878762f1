// The server when more comes than it can take: connections, memory, time.
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <thread>

#include "tests/lib/http/server_tests.hpp"
#include "tests/support/open_files.hpp"

namespace imgrec::server_overload_test {
namespace {

/// Holds what is below /hold, echoes the rest.
RequestHandler hold_some(Held& held) {
  return [hold = held.handler()](Request request, Responder responder) {
    if (request.path.starts_with("/hold")) return hold(std::move(request), std::move(responder));
    echo(std::move(request), std::move(responder));
  };
}

TEST(ServerOverload, SilentConnectionsDoNotKeepOthersOut) {
  Running server(echo, {.connections_max = 20, .connections_reserve = 1});
  Clients silent;
  for (int i = 0; i < 60; ++i) {
    silent.push_back(std::make_unique<RawClient>(server.port()));
    if (i % 2 == 1) silent.back()->send("GET / HTTP/1.1\r\nHo");
  }
  RawClient client(server.port());
  ASSERT_TRUE(client.send(post("x")));
  EXPECT_EQ(status_of(client.read_response()), 200);
  EXPECT_TRUE(silent.front()->closed_within(Millis(5000))) << "the longest-silent one goes first";
  EXPECT_GE(server->stats().connections_evicted_total, 41U);
  EXPECT_EQ(server->stats().connections_refused_total, 0U);
}

TEST(ServerOverload, ElevenHundredSilentConnectionsDelayNobody) {
  constexpr std::size_t kSilent = 1100;
  const test::OpenFilesLimit limit(4096);
  if (limit.hard() < 2 * kSilent + 200) GTEST_SKIP() << "the hard limit of open files is too low for this test";
  Running server(echo);
  Clients silent;
  for (std::size_t i = 0; i < kSilent; ++i) silent.push_back(std::make_unique<RawClient>(server.port()));
  for (int i = 0; i < 5; ++i) {
    RawClient client(server.port());
    ASSERT_TRUE(client.send(post("x")));
    EXPECT_EQ(status_of(client.read_response()), 200);
  }
  EXPECT_EQ(server->stats().connections_refused_total, 0U);
}

TEST(ServerOverload, ConnectionsAreLimitedByTheFilesThatMayBeOpen) {
  const test::OpenFilesLimit limit(200);
  Running server(echo);
  EXPECT_EQ(server->stats().connections_max, 63) << "72 but for 128 other files, an eighth of which are the reserve";
  Clients silent;
  for (int i = 0; i < 64; ++i) silent.push_back(std::make_unique<RawClient>(server.port()));
  RawClient client(server.port());
  ASSERT_TRUE(client.send(post("x")));
  EXPECT_EQ(status_of(client.read_response()), 200);
  EXPECT_GE(server->stats().connections_evicted_total, 1U);
}

TEST(ServerOverload, AnIdleConnectionGoesBeforeOneThatWaitsForItsAnswer) {
  Held held;
  Running server(hold_some(held), {.connections_max = 2});
  RawClient waiting(server.port()), idle(server.port());
  ASSERT_TRUE(waiting.send(get("/hold")));
  ASSERT_TRUE(eventually([&] { return held.count() == 1; }));
  ASSERT_TRUE(idle.send(get("/")));
  EXPECT_EQ(status_of(idle.read_response()), 200);
  RawClient third(server.port());
  EXPECT_TRUE(idle.closed_within(Millis(5000)));
  held.answer_all();
  EXPECT_EQ(body_of(waiting.read_response()), "/hold");
}

TEST(ServerOverload, TheReserveServesReadsAlone) {
  Held held;
  Running server(hold_some(held), {.connections_max = 2, .connections_reserve = 4});
  RawClient first(server.port()), second(server.port());
  ASSERT_TRUE(first.send(get("/hold/1")) && second.send(get("/hold/2")));
  ASSERT_TRUE(eventually([&] { return held.count() == 2; }));
  RawClient read(server.port());
  ASSERT_TRUE(read.send(get("/healthz")));
  const auto response = read.read_response();
  EXPECT_EQ(status_of(response), 200);
  EXPECT_EQ(header_of(response, "Connection"), "close");
  RawClient write(server.port());
  ASSERT_TRUE(write.send(post("x")));
  EXPECT_TRUE(write.closed_within(Millis(5000)));
  EXPECT_EQ(held.count(), 2U);
}

TEST(ServerOverload, ABeginnerInTheReserveIsServedWhenOthersHaveLeft) {
  Held held;
  Running server(hold_some(held), {.connections_max = 1, .connections_reserve = 4});
  RawClient first(server.port());
  ASSERT_TRUE(first.send(get("/hold")));
  ASSERT_TRUE(eventually([&] { return held.count() == 1; }));
  RawClient second(server.port());
  ASSERT_TRUE(eventually([&] { return server->stats().connections_open == 2; }));
  first.reset();
  ASSERT_TRUE(eventually([&] { return server->stats().connections_open == 1; }));
  ASSERT_TRUE(second.send(post("x")));
  EXPECT_EQ(status_of(second.read_response()), 200);
}

TEST(ServerOverload, ConnectionsBeyondTheReserveAreClosed) {
  Held held;
  Running server(hold_some(held), {.connections_max = 1, .connections_reserve = 1});
  RawClient first(server.port());
  ASSERT_TRUE(first.send(get("/hold/1")));
  ASSERT_TRUE(eventually([&] { return held.count() == 1; }));
  RawClient second(server.port());
  ASSERT_TRUE(second.send(get("/hold/2")));
  ASSERT_TRUE(eventually([&] { return held.count() == 2; }));
  RawClient third(server.port());
  EXPECT_TRUE(third.closed_within(Millis(5000)));
  EXPECT_EQ(server->stats().connections_refused_total, 1U);
  held.answer_all();
  EXPECT_EQ(body_of(first.read_response()), "/hold/1");
  EXPECT_EQ(body_of(second.read_response()), "/hold/2");
}

/// Refuses what is below /refuse, drops what is below /drop, throws at /throw; counts what is accepted.
ServerOptions deciding(std::atomic<int>& accepted) {
  return {.on_head = [&accepted](const Request& request, const HeadContext& context) {
    EXPECT_EQ(request.body, "");
    if (request.path == "/throw") throw std::runtime_error("as the test wants");
    if (request.path == "/drop") return HeadDecision::drop();
    if (request.path == "/refuse") {
      return HeadDecision::answer(
          {.status = 503,
           .headers = {{"Retry-After", "1"}},
           .body = std::to_string(context.content_length) + (context.chunked ? " chunked" : "")});
    }
    ++accepted;
    return HeadDecision::accept();
  }};
}

TEST(ServerOverload, TheHandlerGetsWhatTheHeadHookAttached) {
  const auto say = [](Request request, Responder responder) {
    const auto* found = std::any_cast<std::string>(&request.attachment);
    responder.send({.body = found == nullptr ? "nothing" : *found});
  };
  Running server(say, {.on_head = [](const Request& request, const HeadContext&) {
                   return request.path == "/none" ? HeadDecision::accept()
                                                  : HeadDecision::accept("found " + request.path);
                 }});
  // One connection: what was attached to one request is not there for the next.
  RawClient client(server.port());
  for (const auto& [path, answer] : {std::pair("/a", "found /a"), {"/none", "nothing"}, {"/b", "found /b"}}) {
    ASSERT_TRUE(client.send(std::string("GET ") + path + " HTTP/1.1\r\nHost: x\r\n\r\n"));
    EXPECT_EQ(body_of(client.read_response()), answer);
  }
}

TEST(ServerOverload, ARequestIsRefusedAtItsHead) {
  std::atomic<int> accepted = 0;
  Running server(echo, deciding(accepted));
  RawClient client(server.port());
  // Most of the body is never sent: the answer comes all the same.
  ASSERT_TRUE(client.send(post_head(60 * kMiB, "/refuse") + "first bytes"));
  const auto response = client.read_response();
  EXPECT_EQ(status_of(response), 503);
  EXPECT_EQ(header_of(response, "Retry-After"), "1");
  EXPECT_EQ(header_of(response, "Connection"), "close");
  EXPECT_EQ(body_of(response), "62914560");
  EXPECT_TRUE(client.closed_within(Millis(10'000)));
  EXPECT_EQ(server->stats().requests_total, 0U);
  EXPECT_EQ(server->stats().body_bytes_buffered, 0U);
}

TEST(ServerOverload, ARefusedClientIsNotAskedForItsBody) {
  std::atomic<int> accepted = 0;
  Running server(echo, deciding(accepted));
  RawClient client(server.port());
  ASSERT_TRUE(client.send("POST /refuse HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n"));
  EXPECT_EQ(status_of(client.read_response()), 503);
  EXPECT_TRUE(client.closed_within(Millis(10'000)));
}

TEST(ServerOverload, ASmallRefusedBodyKeepsTheConnection) {
  std::atomic<int> accepted = 0;
  Running server(echo, deciding(accepted));
  RawClient client(server.port());
  ASSERT_TRUE(client.send(post(std::string(20'000, 'x'), "/refuse") + post("1234", "/refuse") + post("next", "/")));
  EXPECT_EQ(body_of(client.read_response()), "20000");
  EXPECT_EQ(body_of(client.read_response()), "4");
  EXPECT_EQ(body_of(client.read_response()), "POST / next");
  ASSERT_TRUE(client.send(post_head(10, "/refuse") + "01234"));
  EXPECT_EQ(body_of(client.read_response()), "10") << "before its body is there";
  ASSERT_TRUE(client.send("56789" + get("/after")));
  EXPECT_EQ(body_of(client.read_response()), "GET /after ");
  EXPECT_EQ(accepted, 2);
}

TEST(ServerOverload, AChunkedRefusedBodyEndsTheConnection) {
  std::atomic<int> accepted = 0;
  Running server(echo, deciding(accepted));
  RawClient client(server.port());
  ASSERT_TRUE(client.send("POST /refuse HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"));
  const auto response = client.read_response();
  EXPECT_EQ(body_of(response), "0 chunked");
  EXPECT_EQ(header_of(response, "Connection"), "close");
}

TEST(ServerOverload, ADroppedRequestGetsNoAnswer) {
  std::atomic<int> accepted = 0;
  Running server(echo, deciding(accepted));
  RawClient client(server.port());
  ASSERT_TRUE(client.send(get("/drop")));
  EXPECT_TRUE(client.closed_within(Millis(5000)));
}

TEST(ServerOverload, WhatTheHookOrTheErrorMakerThrowsIs500) {
  std::atomic<int> accepted = 0;
  auto options = deciding(accepted);
  options.make_error = [](int, std::string, std::string, const RequestId&) -> Response {
    throw std::runtime_error("as the test wants");
  };
  Running server(echo, options);
  RawClient client(server.port());
  ASSERT_TRUE(client.send(get("/throw") + get("/") + "BAD\r\n\r\n"));
  EXPECT_EQ(status_of(client.read_response()), 500);
  EXPECT_EQ(status_of(client.read_response()), 200);
  EXPECT_EQ(status_of(client.read_response()), 400);
}

TEST(ServerOverload, PromisedBodiesTakeNoMemory) {
  Running server(
      [](Request request, Responder responder) { responder.send({.body = std::to_string(request.body.size())}); },
      {.buffered_bytes_max = 64 * kMiB});
  Clients tricklers;
  for (int i = 0; i < 16; ++i) {
    tricklers.push_back(std::make_unique<RawClient>(server.port()));
    ASSERT_TRUE(tricklers.back()->send(i % 2 == 0 ? post_head(64 * kMiB) + "x" : chunked_head() + "4000000\r\nx"));
  }
  ASSERT_TRUE(eventually([&] { return server->stats().body_bytes_buffered > 0; }));
  EXPECT_LT(server->stats().body_bytes_buffered, 2 * kMiB);
  RawClient client(server.port());
  ASSERT_TRUE(client.send(post(std::string(3 * kMiB, 'x'))));
  EXPECT_EQ(body_of(client.read_response()), std::to_string(3 * kMiB));
}

TEST(ServerOverload, SmallBodiesPassWhenMemoryIsUsedUp) {
  Held held;
  Running server(hold_some(held),
                 {.body_bytes_max = kMiB, .buffered_bytes_max = 2 * kMiB, .body_bytes_floor = 16 * kKiB});
  Clients large;
  for (int i = 0; i < 2; ++i) {
    large.push_back(std::make_unique<RawClient>(server.port()));
    ASSERT_TRUE(large.back()->send(post(std::string(kMiB, 'x'), "/hold")));
  }
  ASSERT_TRUE(eventually([&] { return held.count() == 2; }));
  RawClient waiting(server.port()), small(server.port());
  ASSERT_TRUE(waiting.send(post_head(kMiB, "/hold") + std::string(100'000, 'x')));
  const std::string body(16 * kKiB, 'y');
  ASSERT_TRUE(small.send(post(body)));
  EXPECT_EQ(body_of(small.read_response()), "POST / " + body);
  EXPECT_EQ(held.count(), 2U);
  held.answer_all();
  ASSERT_TRUE(waiting.send(std::string(kMiB - 100'000, 'x')));
  ASSERT_TRUE(eventually([&] { return held.count() == 1; }));
}

TEST(ServerOverload, HalfReadUploadsDoNotWaitForEachOther) {
  Running server(
      [](Request request, Responder responder) { responder.send({.body = std::to_string(request.body.size())}); },
      {.body_bytes_max = kMiB,
       .buffered_bytes_max = 3 * kMiB / 2,
       .body_bytes_floor = 1000,
       .memory_wait_max = Millis(60'000)});
  Clients clients;
  for (int i = 0; i < 6; ++i) {
    clients.push_back(std::make_unique<RawClient>(server.port()));
    const bool chunked = i % 2 == 1;
    ASSERT_TRUE(
        clients.back()->send((chunked ? chunked_head() + "100000\r\n" : post_head(kMiB)) + std::string(kMiB / 2, 'x')));
  }
  for (std::size_t i = 0; i < 6; ++i) {
    ASSERT_TRUE(clients[i]->send(std::string(kMiB / 2, 'x') + (i % 2 == 1 ? "\r\n0\r\n\r\n" : "")));
  }
  for (auto& client : clients) EXPECT_EQ(body_of(client->read_response()), std::to_string(kMiB));
  EXPECT_EQ(server->stats().uploads_ended_total, 0U);
  EXPECT_TRUE(eventually([&] { return server->stats().body_bytes_buffered == 0; }));
}

ServerOptions two_large_uploads(Millis memory_wait_max) {
  return {.body_bytes_max = kMiB,
          .buffered_bytes_max = 2 * kMiB,
          .body_bytes_floor = 1000,
          .memory_wait_max = memory_wait_max,
          .make_error = problem_response};
}

TEST(ServerOverload, TheSlowestUploadIsEndedForTheOneThatWaits) {
  Running server(echo, two_large_uploads(Millis(200)));
  Clients slow;
  for (int i = 0; i < 2; ++i) {
    slow.push_back(std::make_unique<RawClient>(server.port()));
    ASSERT_TRUE(slow.back()->send(post_head(kMiB) + std::string(kMiB - 1000, 'x')));
  }
  ASSERT_TRUE(eventually([&] { return server->stats().body_bytes_buffered >= 2 * kMiB - 2000; }));
  RawClient waiting(server.port());
  const std::string body(kMiB / 2, 'y');
  ASSERT_TRUE(waiting.send(post(body)));
  EXPECT_EQ(body_of(waiting.read_response()), "POST / " + body);
  // The next one finds the memory of the one that was ended, whose client has not even read its answer yet.
  ASSERT_TRUE(waiting.send(post(body)));
  EXPECT_EQ(body_of(waiting.read_response()), "POST / " + body);
  EXPECT_EQ(server->stats().uploads_ended_total, 1U);
  int ended = 0;
  for (auto& client : slow) {
    const std::string early = client->read_some(65536, Millis(50));
    if (early.empty()) {
      ASSERT_TRUE(client->send(std::string(1000, 'x')));
      EXPECT_EQ(status_of(client->read_response()), 200);
    } else {
      ++ended;
      EXPECT_EQ(status_of(early), 503);
      EXPECT_EQ(header_of(early, "Retry-After"), "1");
      EXPECT_THAT(body_of(early), HasSubstr("upload_too_slow"));
    }
  }
  EXPECT_EQ(ended, 1);
}

TEST(ServerOverload, RetryAfterGrowsWithTheUploadsThatWait) {
  Held held;
  ServerOptions options = two_large_uploads(Millis(2000));
  options.body_timeout = Millis(1000);
  options.body_rate_min = 0;
  Running server(hold_some(held), options);
  Clients large;
  for (int i = 0; i < 2; ++i) {
    large.push_back(std::make_unique<RawClient>(server.port()));
    ASSERT_TRUE(large.back()->send(post(std::string(kMiB, 'x'), "/hold")));
  }
  ASSERT_TRUE(eventually([&] { return held.count() == 2; }));
  Clients waiting;
  for (int i = 0; i < 3; ++i) {
    waiting.push_back(std::make_unique<RawClient>(server.port()));
    ASSERT_TRUE(waiting.back()->send(post_head(kMiB) + std::string(50'000, 'x')));
  }
  std::vector<int> seconds;
  for (auto& client : waiting) {
    const std::string refused = client->read_response();
    EXPECT_EQ(status_of(refused), 503);
    EXPECT_THAT(body_of(refused), HasSubstr("memory_full"));
    seconds.push_back(std::stoi("0" + header_of(refused, "Retry-After")));
  }
  EXPECT_EQ(*std::max_element(seconds.begin(), seconds.end()), 6) << "two still waited behind the first, for 2 s each";
  EXPECT_EQ(*std::min_element(seconds.begin(), seconds.end()), 2);
}

TEST(ServerOverload, UploadsThatHoldMuchAndTrickleDelayNoOthers) {
  // None is ended for being the slowest within the test's time: only for being slow.
  Running server(echo, {.body_bytes_max = kMiB,
                        .buffered_bytes_max = 8 * kMiB,
                        .body_bytes_floor = 1000,
                        .body_rate_min = 1,
                        .body_rate_window = Millis(200),
                        .memory_wait_max = Millis(60'000)});
  Clients tricklers;
  for (int i = 0; i < 8; ++i) {
    tricklers.push_back(std::make_unique<RawClient>(server.port()));
    const bool chunked = i % 2 == 1;
    ASSERT_TRUE(tricklers.back()->send((chunked ? chunked_head() + "100000\r\n" : post_head(kMiB)) +
                                       std::string(kMiB - 10'000, 'x')));
  }
  ASSERT_TRUE(eventually([&] { return server->stats().body_bytes_buffered > 8 * kMiB - 200'000; }));
  std::atomic<bool> done = false;
  std::thread trickle([&] {
    while (!done) {
      for (auto& trickler : tricklers) trickler->send("x");
      system_clock().sleep_for(Millis(20), {});
    }
  });
  const std::string body(500'000, 'y');
  for (int i = 0; i < 5; ++i) {
    RawClient client(server.port());
    EXPECT_TRUE(client.send(post(body)));
    EXPECT_EQ(status_of(client.read_response()), 200) << i;
  }
  done = true;
  trickle.join();
  EXPECT_GE(server->stats().uploads_ended_total, 1U);
}

std::size_t address_space_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::size_t pages = 0;
  statm >> pages;
  return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

TEST(ServerOverload, PromisedBodiesTakeNoAddressSpaceBeforeTheyCome) {
  Running server(echo, {});
  const std::size_t before = address_space_bytes();
  Clients promising;
  for (int i = 0; i < 64; ++i) {
    promising.push_back(std::make_unique<RawClient>(server.port()));
    ASSERT_TRUE(promising.back()->send(post_head(64 * kMiB) + "x"));
  }
  ASSERT_TRUE(eventually([&] { return server->stats().body_bytes_buffered >= 64; }));
  EXPECT_LT(address_space_bytes() - before, 512 * kMiB) << "promised were 4 GiB";
}

TEST(ServerOverload, ABodySlowerThanTheLeastRateIsEnded) {
  Running server(echo, {.body_rate_min = 100 * kKiB, .body_rate_window = Millis(100)});
  for (const std::string& head : {post_head(kMiB), chunked_head() + "100000\r\n"}) {
    RawClient client(server.port());
    ASSERT_TRUE(client.send(head + "x"));
    const auto response = client.read_response();
    EXPECT_EQ(status_of(response), 408);
    EXPECT_THAT(body_of(response), HasSubstr("body_too_slow"));
  }
}

TEST(ServerOverload, MemoryCountsUntilTheLastCopyOfItsHandleGoes) {
  Held held;
  std::shared_ptr<void> memory;
  {
    Running server(held.handler());
    RawClient client(server.port());
    ASSERT_TRUE(client.send(post("12345")));
    ASSERT_TRUE(eventually([&] { return held.count() == 1; }));
    {
      auto taken = held.take();
      memory = taken[0].first.memory;
      taken[0].second.send({.body = "done"});
    }
    EXPECT_EQ(body_of(client.read_response()), "done");
    EXPECT_EQ(server->stats().body_bytes_buffered, 5U);
    std::shared_ptr<void> copy = std::exchange(memory, {});
    EXPECT_EQ(server->stats().body_bytes_buffered, 5U);
    copy.reset();
    EXPECT_EQ(server->stats().body_bytes_buffered, 0U);
    ASSERT_TRUE(client.send(post("12345")));
    ASSERT_TRUE(eventually([&] { return held.count() == 1; }));
    memory = held.take()[0].first.memory;
  }
  memory.reset();  // after the server
}

}  // namespace
}  // namespace imgrec::server_overload_test
