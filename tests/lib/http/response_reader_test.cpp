#include "lib/http/load/response_reader.hpp"

#include <gtest/gtest.h>

#include "lib/base/rng.hpp"
#include "lib/http/load/target.hpp"

namespace imgrec::load::response_reader_test {
namespace {

const std::string kPlain = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello";
const std::string kChunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n";

std::string mistake(const std::string& bytes) {
  ResponseReader reader(1'000);
  const auto fed = reader.feed(bytes);
  return fed ? (*fed ? "complete" : "incomplete") : fed.error().code;
}

TEST(ResponseReader, ReadsWhatComesByteForByteAndOneAfterTheOther) {
  ResponseReader reader(1'000);
  for (const std::string& bytes : {kPlain, kChunked, kPlain}) {
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      const auto fed = reader.feed(bytes.substr(i, 1));
      ASSERT_TRUE(fed) << fed.error().message;
      ASSERT_EQ(*fed, i + 1 == bytes.size()) << bytes << " at " << i;
    }
    EXPECT_EQ(reader.response().status, 200);
    EXPECT_EQ(reader.response().body, "hello");
    EXPECT_TRUE(reader.keeps_alive());
    reader.reset();
    EXPECT_FALSE(reader.has_begun());
  }
}

TEST(ResponseReader, FindsHeadersInAnyCase) {
  ResponseReader reader(1'000);
  ASSERT_TRUE(*reader.feed(kPlain));
  EXPECT_EQ(reader.response().header("content-type"), "text/plain");
  EXPECT_EQ(reader.response().header("content-typ"), "");
}

TEST(ResponseReader, SkipsInterimResponses) {
  ResponseReader reader(1'000);
  ASSERT_TRUE(*reader.feed("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + kPlain));
  EXPECT_EQ(reader.response().body, "hello");
}

TEST(ResponseReader, SomeResponsesHaveNoBody) {
  ResponseReader reader(1'000);
  EXPECT_TRUE(*reader.feed("HTTP/1.1 204 No Content\r\n\r\n"));
  EXPECT_EQ(reader.response().body, "");
}

TEST(ResponseReader, WithoutALengthTheBodyEndsWithTheConnection) {
  ResponseReader reader(1'000);
  EXPECT_FALSE(*reader.feed("HTTP/1.0 200 OK\r\n\r\nhel"));
  EXPECT_FALSE(*reader.feed("lo"));
  EXPECT_TRUE(*reader.close());
  EXPECT_EQ(reader.response().body, "hello");
  EXPECT_FALSE(reader.keeps_alive());
}

TEST(ResponseReader, SaysWhetherTheConnectionStays) {
  for (const auto& [head, stays] : {std::pair("HTTP/1.1 200 OK\r\n", true),
                                    {"HTTP/1.0 200 OK\r\n", false},
                                    {"HTTP/1.1 200 OK\r\nConnection: Close\r\n", false},
                                    {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n", true}}) {
    ResponseReader reader(1'000);
    ASSERT_TRUE(*reader.feed(std::string(head) + "Content-Length: 0\r\n\r\n"));
    EXPECT_EQ(reader.keeps_alive(), stays) << head;
  }
}

TEST(ResponseReader, AnEarlyEndIsAnError) {
  for (const std::size_t length : {std::size_t{0}, std::size_t{10}, kPlain.size() - 1}) {
    ResponseReader reader(1'000);
    ASSERT_FALSE(*reader.feed(kPlain.substr(0, length)));
    ASSERT_FALSE(reader.close());
    EXPECT_EQ(reader.close().error().code, "connection_lost");
  }
}

TEST(ResponseReader, RefusesWhatIsNoHttp) {
  EXPECT_EQ(mistake("SSH-2.0\r\n\r\n"), "bad_response");
  EXPECT_EQ(mistake("HTTP/2 200 OK\r\n\r\n"), "bad_response");
  EXPECT_EQ(mistake("HTTP/1.1 2x0 OK\r\n\r\n"), "bad_response");
  EXPECT_EQ(mistake("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"), "bad_response");
  EXPECT_EQ(mistake("HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"), "bad_response");
  EXPECT_EQ(mistake("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"), "bad_response");
  EXPECT_EQ(mistake("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"), "bad_response");
  EXPECT_EQ(mistake("HTTP/1.1 101 Switching Protocols\r\n\r\n"), "bad_response");
  EXPECT_EQ(mistake(std::string(2'000, 'x')), "bad_response");
}

// Bytes of any server: each ends as a response, an error, or an incomplete one, within the limit.
TEST(ResponseReader, SurvivesDamagedResponses) {
  constexpr std::uint64_t kBytesMax = 300;
  SplitMix64 rng(1);
  const auto below = [&](std::size_t end) { return static_cast<std::size_t>(rng.next() % end); };
  const std::string interim = "HTTP/1.1 100 Continue\r\n\r\n";
  int complete = 0, refused = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = round % 3 == 0 ? kPlain : round % 3 == 1 ? kChunked : interim + kPlain;
    for (std::size_t changes = below(4); changes > 0; --changes) {
      const std::size_t at = below(bytes.size());
      if (rng.next() % 2 == 0) {
        bytes[at] = static_cast<char>(rng.next());
      } else {
        bytes.insert(at, bytes.substr(below(bytes.size()), below(20)));
      }
    }
    ResponseReader reader(kBytesMax);
    Result<bool> state = false;
    for (std::size_t at = 0; at < bytes.size() && state && !*state;) {
      const std::size_t taken = std::min(bytes.size() - at, 1 + below(20));
      state = reader.feed(std::string_view(bytes).substr(at, taken));
      at += taken;
    }
    if (!state) {
      ++refused;
    } else if (*state) {
      ++complete;
      EXPECT_LE(reader.response().body.size(), kBytesMax);
      EXPECT_GE(reader.response().status, 200);
    }
  }
  EXPECT_GT(complete, 5'000);
  EXPECT_GT(refused, 1'000);
}

TEST(Target, HasTheUrlsParts) {
  const auto plain = parse_target("http://photos.example:8000/a/b?c=d#e");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->host, "photos.example");
  EXPECT_EQ(plain->port, "8000");
  EXPECT_EQ(plain->authority, "photos.example:8000");
  EXPECT_EQ(plain->path, "/a/b?c=d");
  EXPECT_EQ(plain->origin(), "http://photos.example:8000");
  const auto v6 = parse_target("HTTPS://[::1]");
  ASSERT_TRUE(v6);
  EXPECT_TRUE(v6->tls);
  EXPECT_EQ(v6->host, "::1");
  EXPECT_EQ(v6->port, "443");
  EXPECT_EQ(v6->authority, "[::1]");
  EXPECT_EQ(v6->path, "/");
  EXPECT_EQ(parse_target("http://h?x")->path, "/?x");
}

TEST(Target, RefusesWhatItCannotReach) {
  for (const char* url :
       {"", "127.0.0.1:8000", "ftp://h/", "http://", "http://:80/", "http://h:0/", "http://h:99999/", "http://h:x/",
        "http://u:p@h/", "http://[::1/", "http://[::1]x/", "http://h/a b", "http://h/\r\nX: y"}) {
    const auto target = parse_target(url);
    ASSERT_FALSE(target) << url;
    EXPECT_EQ(target.error().code, "bad_url");
  }
}

}  // namespace
}  // namespace imgrec::load::response_reader_test
