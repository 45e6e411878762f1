#include "lib/http/syntax/request_head.hpp"

#include <gmock/gmock.h>

#include "lib/http/syntax/chunked.hpp"

namespace imgrec::http::request_head_test {
namespace {

using testing::ElementsAre;
using testing::Pair;

/// The status that a whole head is refused with, or 0.
int refusal_of(const std::string& head) {
  std::size_t scanned = 0;
  const auto scan = scan_head(head, scanned, 16 * kKiB);
  if (scan.state == HeadState::refused) return scan.refusal.status;
  EXPECT_EQ(scan.state, HeadState::complete) << head;
  EXPECT_EQ(scan.length, head.size()) << head;
  const auto parsed = parse_head(head);
  if (parsed) return 0;
  EXPECT_NE(parsed.error().code, "");
  EXPECT_NE(parsed.error().detail, "");
  return parsed.error().status;
}

std::string with_headers(const std::string& lines) {
  return "POST / HTTP/1.1\r\nHost: x\r\n" + lines + "\r\n";
}
std::string with_target(const std::string& target) {
  return "GET " + target + " HTTP/1.1\r\nHost: x\r\n\r\n";
}

TEST(ScanHead, FindsTheEndHoweverTheBytesArrive) {
  const std::string head = "\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n";
  for (std::size_t step = 1; step <= head.size(); ++step) {
    std::size_t scanned = 0;
    for (std::size_t end = step; end < head.size(); end += step) {
      ASSERT_EQ(scan_head(head.substr(0, end), scanned, 100).state, HeadState::need_more) << step << " " << end;
    }
    const auto scan = scan_head(head + "body", scanned, 100);
    ASSERT_EQ(scan.state, HeadState::complete) << step;
    EXPECT_EQ(scan.length, head.size());
  }
}

TEST(ScanHead, RefusesAtOnceWhatCannotBecomeARequest) {
  for (const auto& bytes :
       {std::string("GET / HTTP/1.1\n"), std::string("GET /\rx"), std::string("GET /\0", 6), std::string("\x7F"),
        std::string("\r\n\r\n"), std::string("\n"), std::string("\x16\x03\x01")}) {
    std::size_t scanned = 0;
    const auto scan = scan_head(bytes, scanned, 100);
    EXPECT_EQ(scan.state, HeadState::refused) << testing::PrintToString(bytes);
    EXPECT_EQ(scan.refusal.status, 400);
  }
}

TEST(ScanHead, LimitsTheBytes) {
  const std::string head = "GET / HTTP/1.1\r\nX: " + std::string(100, 'x') + "\r\n\r\n";
  std::size_t scanned = 0;
  EXPECT_EQ(scan_head(head, scanned, head.size()).state, HeadState::complete);
  scanned = 0;
  const auto scan = scan_head(head, scanned, 100);
  EXPECT_EQ(scan.state, HeadState::refused);
  EXPECT_EQ(scan.refusal.status, 431);
}

TEST(ParseHead, ReadsARequest) {
  const auto head = parse_head(
      "POST /a%20b?x=%31&y HTTP/1.1\r\nHost: h:80\r\nX-Empty:\r\nX-Name: \t a b \r\nContent-Length: 007\r\n"
      "Expect: 100-Continue\r\n\r\n");
  ASSERT_TRUE(head);
  EXPECT_EQ(head->method, "POST");
  EXPECT_EQ(head->target, "/a%20b?x=%31&y");
  EXPECT_EQ(head->path, "/a b");
  EXPECT_THAT(head->query, ElementsAre(Pair("x", "1"), Pair("y", "")));
  EXPECT_THAT(head->headers, ElementsAre(Pair("host", "h:80"), Pair("x-empty", ""), Pair("x-name", "a b"),
                                         Pair("content-length", "007"), Pair("expect", "100-Continue")));
  EXPECT_EQ(head->content_length, 7U);
  EXPECT_TRUE(head->expects_continue);
  EXPECT_TRUE(head->keep_alive);
  EXPECT_FALSE(head->chunked);
}

TEST(ParseHead, ReadsChunkedWithoutRegardToCase) {
  const auto head = parse_head(with_headers("Transfer-Encoding:  Chunked \r\n"));
  ASSERT_TRUE(head);
  EXPECT_TRUE(head->chunked);
}

TEST(ParseHead, KeepsAliveAsTheVersionSays) {
  const auto keeps = [](const std::string& version, const std::string& line) {
    const auto head = parse_head("GET / HTTP/" + version + "\r\nHost: x\r\n" + line + "\r\n");
    return head && head->keep_alive;
  };
  EXPECT_TRUE(keeps("1.1", ""));
  EXPECT_TRUE(keeps("1.1", "Connection: upgrade\r\n"));
  EXPECT_FALSE(keeps("1.1", "Connection: upgrade , CLOSE\r\n"));
  EXPECT_FALSE(keeps("1.1", "Connection: x\r\nConnection: close\r\n"));
  EXPECT_FALSE(keeps("1.0", ""));
  EXPECT_TRUE(keeps("1.0", "Connection: Keep-Alive\r\n"));
  EXPECT_FALSE(keeps("1.0", "Connection: keep-alive, close\r\n"));
}

TEST(ParseHead, RefusesFramingsThatServersReadDifferently) {
  const std::vector<std::pair<std::string, int>> cases = {
      {"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400},
      {"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", 400},
      {"Content-Length: 5\r\nContent-Length: 5\r\n", 400},
      {"Content-Length: 5\r\nContent-Length: 6\r\n", 400},
      {"Content-Length: 5, 5\r\n", 400},
      {"Content-Length: +5\r\n", 400},
      {"Content-Length: -5\r\n", 400},
      {"Content-Length: 0x5\r\n", 400},
      {"Content-Length: 5 5\r\n", 400},
      {"Content-Length:\r\n", 400},
      {"Content-Length: 99999999999999999999\r\n", 400},
      {"Transfer-Encoding: gzip\r\n", 400},
      {"Transfer-Encoding: identity\r\n", 400},
      {"Transfer-Encoding: chunked, identity\r\n", 400},
      {"Transfer-Encoding: chunked, chunked\r\n", 400},
      {"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400},
      {"Transfer-Encoding: \"chunked\"\r\n", 400},
      {"Transfer-Encoding: xchunked\r\n", 400},
      {"Transfer-Encoding: chunked;x=1\r\n", 400},
      {"Transfer-Encoding:\r\n", 400},
      {"Transfer-Encoding : chunked\r\n", 400},
      {"Transfer-Encoding: gzip, chunked\r\n", 501},
      {"X: a\r\n b\r\n", 400},
      {" X: folded onto the Host\r\n", 400},
      {"X\r\n", 400},
      {": x\r\n", 400},
      {"X y: z\r\n", 400},
      {"X\x80: z\r\n", 400},
      {"Host: y\r\n", 400},
      {"Expect: 200-ok\r\n", 417},
  };
  for (const auto& [lines, status] : cases) EXPECT_EQ(refusal_of(with_headers(lines)), status) << lines;
  EXPECT_EQ(refusal_of("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
  EXPECT_EQ(refusal_of("GET / HTTP/1.1\r\n\r\n"), 400) << "no Host";
  EXPECT_EQ(refusal_of("GET / HTTP/1.0\r\n\r\n"), 0) << "HTTP/1.0 needs none";
  EXPECT_EQ(refusal_of("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), 400);
  EXPECT_EQ(refusal_of("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), 400);
  EXPECT_EQ(refusal_of("GET / HTTP/1.1\r\nHost: [::1]:8000\r\n\r\n"), 0);
  EXPECT_EQ(refusal_of(with_headers("X-Latin: \xE9\r\n")), 0) << "obs-text is data";
}

TEST(ParseHead, LimitsTheNumberOfHeaders) {
  std::string lines;
  for (int i = 0; i < 99; ++i) lines += "X: y\r\n";
  EXPECT_EQ(refusal_of(with_headers(lines)), 0);
  EXPECT_EQ(refusal_of(with_headers(lines + "X: y\r\n")), 431);
}

TEST(ParseHead, RefusesBadRequestLines) {
  const std::vector<std::pair<std::string, int>> cases = {
      {"GET / HTTP/2.0", 505},         {"GET / HTTP/1.2", 505},  {"GET / HTTP/0.9", 505},  {"GET / http/1.1", 400},
      {"GET / HTTP/1.10", 400},        {"GET / HTTP/11", 400},   {"GET /", 400},           {"GET", 400},
      {"GET  / HTTP/1.1", 400},        {"GET /  HTTP/1.1", 400}, {"GET / HTTP/1.1 ", 400}, {" GET / HTTP/1.1", 400},
      {"GET / x HTTP/1.1", 400},       {"G(T / HTTP/1.1", 400},  {"get / HTTP/1.1", 501},  {"BREW / HTTP/1.1", 501},
      {"CONNECT x:443 HTTP/1.1", 501}, {"BREW / HTTP/1.1", 501}, {"GET\t/ HTTP/1.1", 400},
  };
  for (const auto& [line, status] : cases) EXPECT_EQ(refusal_of(line + "\r\nHost: x\r\n\r\n"), status) << line;
}

TEST(ParseHead, UnderstandsEveryFormOfTarget) {
  const auto path_of = [](const std::string& target) {
    const auto head = parse_head(with_target(target));
    return head ? head->path : "refused";
  };
  EXPECT_EQ(path_of("/a/../b//c"), "/a/../b//c");
  EXPECT_EQ(path_of("/%e2%82%ac"), "/\xE2\x82\xAC");
  EXPECT_EQ(path_of("http://example.com:80/a?b"), "/a");
  EXPECT_EQ(path_of("HTTPS://example.com"), "/");
  EXPECT_EQ(path_of("http://example.com?x=1"), "/");
  for (const auto* bad : {"*", "a", "x:80", "ftp://x/", "http:///a", "http://u@x/", "/%", "/%1", "/%zz", "/?%g0",
                          "/?a=%", "/%00", "/a#b", "/a\"b", "/<", "/\\", "/\xC3\xA9"}) {
    EXPECT_EQ(refusal_of(with_target(bad)), 400) << bad;
  }
  EXPECT_EQ(refusal_of("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
}

/// The body, or the status and code of the refusal; `rest`: how many bytes were not taken.
std::string decode(std::string_view bytes, std::size_t step, std::size_t* rest = nullptr,
                   std::uint64_t body_bytes_max = 1000) {
  ChunkDecoder decoder(body_bytes_max, 64);
  std::string body;
  std::size_t used = 0;
  while (used < bytes.size() && !decoder.done()) {
    const auto taken = decoder.feed(bytes.substr(used, step), body);
    if (!taken) return std::to_string(taken.error().status);
    used += *taken;
  }
  if (rest != nullptr) *rest = bytes.size() - used;
  return decoder.done() ? body : "incomplete";
}

TEST(ChunkDecoder, DecodesHoweverTheBytesArrive) {
  const std::string chunked =
      "5\r\nhello\r\n009;name=\"va;\\\"lue\";x;y=z\r\n 0123\r\n89\r\n0\r\nTrailer: x\r\nEmpty:\r\n\r\n";
  for (std::size_t step = 1; step <= chunked.size(); ++step) {
    std::size_t rest = 0;
    EXPECT_EQ(decode(chunked + "GET /next", step, &rest), "hello 0123\r\n89") << step;
  }
  std::size_t rest = 0;
  decode(chunked + "GET /next", 1000, &rest);
  EXPECT_EQ(rest, 9U) << "what follows the body is not taken";
}

TEST(ChunkDecoder, RefusesWhatIsNoChunkedBody) {
  for (const std::string bad : {"\r\n",
                                "x\r\n",
                                "-1\r\n",
                                "0x5\r\n",
                                "+5\r\n",
                                " 5\r\n",
                                "5 \r\nhello",
                                "5\nhello",
                                "5\rhello",
                                "5\r\nhello!\r\n",
                                "5\r\nhello\n0",
                                "5\r\nhello\r0",
                                "0\r\nTrailer\r\n\r\n",
                                "0\r\n x: y\r\n\r\n",
                                "0\r\n: y\r\n\r\n",
                                "0\r\nx: y\n\r\n",
                                "0\r\nx: \x01\r\n\r\n",
                                "0\r\n\n",
                                "0\r\n\rx",
                                "5;a\nb\r\nhello",
                                "5;\r\n",
                                "5;a;\r\n",
                                "5;=b\r\n",
                                "5;a=\r\n",
                                "5;a=\"b\r\n",
                                "5;a b\r\n",
                                "5;\x7F\r\nhello",
                                "00000000000000001\r\nx"}) {
    EXPECT_EQ(decode(bad, 1000), "400") << testing::PrintToString(bad);
    EXPECT_EQ(decode(bad, 1), "400") << testing::PrintToString(bad);
  }
}

TEST(ChunkDecoder, LimitsBodyExtensionsAndTrailers) {
  EXPECT_EQ(decode("3e8\r\n", 9), "incomplete");
  EXPECT_EQ(decode("3e9\r\n", 9), "413");
  EXPECT_EQ(decode("3e8\r\n" + std::string(1000, 'x') + "\r\n1\r\n", 2000), "413");
  EXPECT_EQ(decode("ffffffffffffffff\r\n", 99), "413");
  EXPECT_EQ(decode("1\r\na\r\nffffffffffffffff\r\n", 99), "413") << "the sum must not overflow";
  EXPECT_EQ(decode("ffffffffffffffff\r\n", 99, nullptr, ~std::uint64_t{0}), "incomplete");
  EXPECT_EQ(decode("1\r\na\r\nffffffffffffffff\r\n", 99, nullptr, ~std::uint64_t{0}), "413");
  EXPECT_EQ(decode("1;" + std::string(100, 'x') + "\r\n", 200), "400");
  EXPECT_EQ(decode("0\r\nX: " + std::string(100, 'x') + "\r\n", 200), "400");
}

}  // namespace
}  // namespace imgrec::http::request_head_test
