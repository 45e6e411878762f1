// TLS: handshakes, what is refused, and a certificate that changes while the server runs.
#include <gmock/gmock.h>
#include <openssl/ssl.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "tests/lib/http/server_tests.hpp"
#include "tests/lib/http/tls_client.hpp"
#include "tests/support/temp_dir.hpp"

namespace imgrec::server_tls_test {
namespace {

using test::TlsClient;
using test::write_certificate;

/// A server with a certificate of the name "first".
class ServerTls : public testing::Test {
 protected:
  ServerTls() { write_certificate(certificate_, key_, "first"); }

  ServerOptions options() {
    ServerOptions options;
    tls_ = TlsCertificate::load(certificate_, key_).value();
    options.tls = tls_;
    return options;
  }

  test::TempDir folder_;
  const std::filesystem::path certificate_ = folder_.path() / "chain.pem", key_ = folder_.path() / "key.pem";
  std::shared_ptr<TlsCertificate> tls_;
};

TEST_F(ServerTls, AnswersSeveralRequestsOfOneConnection) {
  std::atomic<bool> encrypted = false;
  Running server(
      [&](Request request, Responder responder) {
        encrypted = request.encrypted;
        echo(std::move(request), std::move(responder));
      },
      options());
  TlsClient client(server.port());
  ASSERT_TRUE(client.connected());
  EXPECT_EQ(client.peer_name(), "first");
  EXPECT_EQ(client.version(), TLS1_3_VERSION);
  for (const std::string body : {"a", "bc"}) {
    ASSERT_TRUE(client.send(post(body)));
    EXPECT_EQ(body_of(client.read_response()), "POST / " + body);
  }
  EXPECT_TRUE(encrypted);
}

TEST_F(ServerTls, SpeaksVersion12AndNothingOlder) {
  Running server(echo, options());
  TlsClient client(server.port(), {.version_max = TLS1_2_VERSION});
  ASSERT_TRUE(client.send(get("/x")));
  EXPECT_EQ(status_of(client.read_response()), 200);
  EXPECT_EQ(client.version(), TLS1_2_VERSION);
  for (const int version : {TLS1_1_VERSION, TLS1_VERSION}) {
    EXPECT_FALSE(TlsClient(server.port(), {.version_max = version}).connected()) << version;
  }
  EXPECT_TRUE(eventually([&] { return server->stats().handshakes_failed_total == 2; }));
}

TEST_F(ServerTls, ChoosesHttp11AndRefusesThoseWhoSpeakSomethingElse) {
  Running server(echo, options());
  EXPECT_EQ(TlsClient(server.port(), {.protocols = "\x02h2\x08http/1.1"}).protocol(), "http/1.1");
  EXPECT_FALSE(TlsClient(server.port(), {.protocols = "\x02h2"}).connected());
}

TEST_F(ServerTls, TellsPlainHttpWhatToDo) {
  Running server(echo, options());
  RawClient client(server.port());
  ASSERT_TRUE(client.send(get("/")));
  const std::string answer = client.read_all();
  EXPECT_EQ(status_of(answer), 400);
  EXPECT_THAT(answer, HasSubstr("https://"));
}

TEST_F(ServerTls, NoiseEndsTheConnectionAlone) {
  Running server(echo, options());
  RawClient noise(server.port());
  ASSERT_TRUE(noise.send(std::string(3000, '\x16')));
  noise.read_all();
  EXPECT_TRUE(noise.closed_within(Millis(10'000)));
  TlsClient client(server.port());
  ASSERT_TRUE(client.send(get("/")));
  EXPECT_EQ(status_of(client.read_response()), 200);
}

TEST_F(ServerTls, ASlowHandshakeIsClosedLikeASlowHead) {
  auto limits = options();
  limits.header_timeout = Millis(100);
  limits.idle_timeout = Millis(600'000);
  Running server(echo, limits);
  RawClient silent(server.port());
  EXPECT_TRUE(silent.closed_within(Millis(10'000)));
  RawClient halfway(server.port());
  ASSERT_TRUE(halfway.send("\x16\x03\x01"));
  EXPECT_TRUE(halfway.closed_within(Millis(10'000)));
}

TEST_F(ServerTls, UnfinishedHandshakesGiveTheirPlacesToNewConnections) {
  auto limits = options();
  limits.connections_max = 4;
  Running server(echo, limits);
  std::vector<std::unique_ptr<RawClient>> silent;
  for (int i = 0; i < 12; ++i) silent.push_back(std::make_unique<RawClient>(server.port()));
  TlsClient client(server.port());
  ASSERT_TRUE(client.send(post("x")));
  EXPECT_EQ(body_of(client.read_response()), "POST / x");
}

TEST_F(ServerTls, LargeBodiesComeAndGoWhole) {
  Running server([](Request request, Responder responder) { responder.send({.body = std::move(request.body)}); },
                 options());
  std::string body(5'000'000, '\0');
  for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>(i * 2654435761U >> 13);
  TlsClient client(server.port());
  std::jthread sender([&] { EXPECT_TRUE(client.send(post_head(body.size()))); });
  sender.join();
  ASSERT_TRUE(client.send(body));
  EXPECT_TRUE(body_of(client.read_response()) == body);
}

TEST_F(ServerTls, ABodyInOneRecordWithItsHeadAndTheNextRequestIsUnderstood) {
  Running server(echo, options());
  TlsClient client(server.port());
  ASSERT_TRUE(client.send(post("one") + post("two") + get("/three")));
  EXPECT_EQ(body_of(client.read_response()), "POST / one");
  EXPECT_EQ(body_of(client.read_response()), "POST / two");
  EXPECT_EQ(body_of(client.read_response()), "GET /three ");
}

TEST_F(ServerTls, AHandlerHearsThatItsClientLeft) {
  std::atomic<bool> gone = false;
  Held held;
  Running server(
      [&](Request request, Responder responder) {
        responder.on_client_gone([&] { gone = true; }, ClientEof::gone);
        held.handler()(std::move(request), std::move(responder));
      },
      options());
  {
    TlsClient client(server.port());
    ASSERT_TRUE(client.send(get("/")));
    ASSERT_TRUE(eventually([&] { return held.count() == 1; }));
  }
  EXPECT_TRUE(eventually([&] { return gone.load(); }));
}

TEST_F(ServerTls, TheEndIsAnnouncedAfterAWholeAnswerAndNotAfterAPart) {
  Running server(
      [](Request request, Responder responder) {
        ResponseStream stream = responder.open_stream({.body = "piece"});
        if (request.path == "/whole") stream.end();
      },
      options());
  const auto ask = [&](const std::string& path) {
    TlsClient client(server.port());
    EXPECT_TRUE(client.send("GET " + path + " HTTP/1.0\r\nHost: x\r\n\r\n"));
    const std::string answer = client.read_all();
    EXPECT_THAT(answer, HasSubstr("piece"));
    return client.was_ended();
  };
  EXPECT_TRUE(ask("/whole"));
  EXPECT_FALSE(ask("/part"));
}

TEST_F(ServerTls, DrainAnswersWhatIsInProgress) {
  Held held;
  Running server(held.handler(), options());
  TlsClient idle(server.port()), busy(server.port());
  ASSERT_TRUE(busy.send(get("/slow")));
  ASSERT_TRUE(eventually([&] { return held.count() == 1; }));
  std::jthread draining([&] { EXPECT_TRUE(server->drain(Millis(10'000))); });
  EXPECT_EQ(idle.read_all(), "");
  EXPECT_TRUE(idle.was_ended());
  held.answer_all();
  EXPECT_EQ(body_of(busy.read_response()), "/slow");
}

TEST_F(ServerTls, ANewCertificateCountsForNewConnectionsAndOldOnesGoOn) {
  Running server(echo, options());
  TlsClient before(server.port());
  EXPECT_FALSE(tls_->reload().value()) << "nothing has changed";
  write_certificate(certificate_, key_, "second");
  EXPECT_TRUE(tls_->reload().value());
  TlsClient after(server.port());
  EXPECT_EQ(after.peer_name(), "second");
  ASSERT_TRUE(before.send(post("still")));
  EXPECT_EQ(body_of(before.read_response()), "POST / still");
  EXPECT_EQ(before.peer_name(), "first");
}

TEST_F(ServerTls, ReloadsUnderLoadLoseNoRequest) {
  Running server(echo, options());
  std::atomic<bool> stop = false;
  std::atomic<int> answered = 0, failed = 0;
  std::vector<std::jthread> clients;
  for (int i = 0; i < 4; ++i) {
    clients.emplace_back([&, keeps = i % 2 == 0] {
      auto client = std::make_unique<TlsClient>(server.port());
      while (!stop) {
        if (!keeps) client = std::make_unique<TlsClient>(server.port());
        const bool good = client->send(post("x")) && body_of(client->read_response()) == "POST / x";
        ++(good ? answered : failed);
      }
    });
  }
  for (int i = 0; i < 10; ++i) {
    write_certificate(certificate_, key_, "number " + std::to_string(i));
    EXPECT_TRUE(tls_->reload().value());
    const int seen = answered;
    EXPECT_TRUE(eventually([&] { return answered >= seen + 4 || failed > 0; }));
  }
  stop = true;
  clients.clear();
  EXPECT_EQ(failed, 0);
}

TEST_F(ServerTls, ABadNewFileKeepsTheOldCertificateAndIsToldOnce) {
  Running server(echo, options());
  std::ofstream(certificate_) << "no certificate";
  const auto bad = tls_->reload();
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, "bad_certificate");
  EXPECT_THAT(bad.error().message, HasSubstr("chain.pem"));
  EXPECT_FALSE(tls_->reload().value()) << "it was told already";
  EXPECT_EQ(TlsClient(server.port()).peer_name(), "first");
}

TEST_F(ServerTls, FilesThatDoNotBelongTogetherAreRefused) {
  write_certificate(folder_.path() / "other.pem", folder_.path() / "other-key.pem", "other");
  EXPECT_THAT(TlsCertificate::load(certificate_, folder_.path() / "other-key.pem").error().message,
              HasSubstr("is not the key of"));
  EXPECT_THAT(TlsCertificate::load(key_, key_).error().message, HasSubstr("holds no certificate"));
  EXPECT_THAT(TlsCertificate::load(certificate_, certificate_).error().message, HasSubstr("holds no private key"));
  EXPECT_EQ(TlsCertificate::load(folder_.path() / "none", key_).error().kind, ErrorKind::not_found);
}

}  // namespace
}  // namespace imgrec::server_tls_test
