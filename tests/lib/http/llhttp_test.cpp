// The requests of llhttp's own tests (Node's parser): what it refuses we refuse. Where we refuse more, a table says
// why.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <sstream>

#include "lib/base/text.hpp"
#include "lib/http/syntax/chunked.hpp"
#include "lib/http/syntax/request_head.hpp"
#include "tests/support/shared_data.hpp"

namespace imgrec::http::llhttp_test {
namespace {

struct Fixture {
  std::string name;  // "invalid.md: Headers separated by CR"
  std::string bytes;
  bool refused_by_llhttp = false;
};

std::string replaced(std::string text, const std::string& what, const std::string& with) {
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size())) {
    text.replace(at, what.size(), with);
  }
  return text;
}

// As llhttp's test/md-test.ts does it: line ends become CRLF, a backslash at a line's end joins lines.
std::string to_bytes(std::string block) {
  if (block.ends_with('\n')) block.pop_back();
  block = replaced(block, "\\\n", "");
  block = replaced(block, "\n", "\r\n");
  for (const auto& [escape, byte] : {std::pair{"\\r", "\r"}, {"\\n", "\n"}, {"\\t", "\t"}, {"\\f", "\f"}}) {
    block = replaced(block, escape, byte);
  }
  static const std::regex hex("\\\\x([0-9a-fA-F]{2})");
  std::smatch match;
  std::string bytes;
  while (std::regex_search(block, match, hex)) {
    bytes += match.prefix().str() + static_cast<char>(std::stoi(match[1].str(), nullptr, 16));
    block = match.suffix().str();
  }
  return bytes + block;
}

std::vector<Fixture> read_fixtures(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::vector<Fixture> fixtures;
  std::string line, title, meta, block;
  enum class In { text, request, log } where = In::text;
  while (std::getline(in, line)) {
    if (where == In::request && line != "```") {
      block += line + "\n";
    } else if (where == In::request) {
      where = In::text;
    } else if (where == In::log && line != "```") {
      // 21 to 23 are pauses (for an upgrade), not errors.
      static const std::regex error("error code=(?!2[123] )");
      if (std::regex_search(line, error) && !fixtures.empty()) fixtures.back().refused_by_llhttp = true;
    } else if (where == In::log) {
      where = In::text;
    } else if (line.starts_with("#")) {
      title = line.substr(line.find_first_not_of("# "));
    } else if (line.starts_with("<!-- meta=")) {
      meta = line;
    } else if (line.starts_with("```http")) {
      where = In::request;
      block.clear();
    } else if (line.starts_with("```log")) {
      where = In::log;
      const auto plain = replaced(meta, " ", "");
      const bool is_plain_request = plain.find("\"type\":\"request\"") != std::string::npos &&
                                    plain.find("pause") == std::string::npos &&
                                    plain.find("skipBody") == std::string::npos;
      fixtures.push_back({file.filename().string() + ": " + title, to_bytes(block), false});
      if (!is_plain_request) fixtures.back().name.clear();
    }
  }
  std::erase_if(fixtures, [](const Fixture& fixture) { return fixture.name.empty(); });
  return fixtures;
}

/// llhttp leaves the Host header to its caller: where there is none, one is added, so that the rest is compared.
std::expected<RequestHead, Refusal> parse_with_host(std::string head) {
  auto parsed = parse_head(head);
  if (parsed || parsed.error().code != "bad_host" || to_lower(head).find("\nhost:") != std::string::npos) return parsed;
  head.insert(head.find("\r\n", 2) + 2, "Host: x\r\n");
  return parse_head(head);
}

/// Empty when all bytes are requests, or the beginning of one; else why not.
std::string refusal_of(std::string bytes) {
  while (bytes.find_first_not_of("\r\n") != std::string::npos) {
    std::size_t scanned = 0;
    auto scan = scan_head(bytes, scanned, 64 * kKiB);
    if (scan.state == HeadState::need_more) {  // llhttp judges line by line: ended here, ours sees these lines, too
      while (!bytes.ends_with("\r\n\r\n")) bytes += "\r\n";
      scan = scan_head(bytes, scanned, 64 * kKiB);
    }
    if (scan.state != HeadState::complete) return scan.refusal.code;
    const auto head = parse_with_host(bytes.substr(0, scan.length));
    if (!head) return head.error().code;
    bytes.erase(0, scan.length);
    if (head->chunked) {
      ChunkDecoder decoder(kMiB, 64 * kKiB);
      std::string body;
      const auto taken = decoder.feed(bytes, body);
      if (!taken) return taken.error().code;
      bytes.erase(0, *taken);
    } else {
      bytes.erase(0, std::min<std::size_t>(bytes.size(), head->content_length));
    }
    // The connection is closed then, and what follows is never read as a request.
    if (!head->keep_alive && !bytes.empty()) return "closed";
  }
  return {};
}

/// Accepted by llhttp, refused by us: stricter is safe, and each has its reason.
const std::map<std::string, std::string>& stricter() {
  static const std::string kMethod = "a method that no handler of ours knows: 501";
  static const std::string kUpgrade = "nothing is upgraded here: what follows is read as the next request";
  static const std::string kProtocol = "another protocol than HTTP";
  static const std::string kTarget = "a character that must be percent-encoded; a fragment never leaves its client";
  static const std::map<std::string, std::string> table = {
      {"connection.md: CRLF between requests, implicit `keep-alive`",
       "one empty line before a request is skipped (RFC 9112), not two"},
      {"connection.md: Emitting part of body and pausing", kUpgrade},
      {"connection.md: Multiple tokens with folding and LWS", kUpgrade},
      {"connection.md: Upgrade GET request", kUpgrade},
      {"connection.md: Upgrade POST request", kUpgrade},
      {"method.md: ANNOUNCE request with RTSP", kProtocol},
      {"method.md: CONNECT request with CAPS", kMethod},
      {"method.md: CONNECT request", kMethod},
      {"method.md: CONNECT with body", kMethod},
      {"method.md: LINK request", kMethod},
      {"method.md: M-SEARCH request", kMethod},
      {"method.md: OPTIONS request with RTSP", kProtocol},
      {"method.md: PRI request HTTP2", kMethod},
      {"method.md: PURGE request", kMethod},
      {"method.md: REPORT request", kMethod},
      {"method.md: SEARCH request", kMethod},
      {"method.md: SOURCE request with ICE", kProtocol},
      {"method.md: SOURCE request", kMethod},
      {"sample.md: No HTTP version", "HTTP/0.9"},
      {"transfer-encoding.md: POST with `chunked` as last transfer-encoding (multiple headers)", kTarget},
      {"transfer-encoding.md: POST with `chunked` as last transfer-encoding", kTarget},
      {"uri.md: Fragment in URI", kTarget},
      {"uri.md: Quotes in URI", kTarget},
      {"uri.md: Underscore in hostname", kMethod},
      {"uri.md: `host:port` and basic auth", kTarget},
  };
  return table;
}

TEST(Llhttp, NothingItRefusesIsAccepted) {
  IMGREC_NEED_SHARED(suite, test::unpacked_testdata("http-llhttp"));
  int compared = 0, refused = 0, accepted = 0;
  for (const auto& entry : std::filesystem::directory_iterator(suite / "request")) {
    if (entry.path().filename().string().starts_with("lenient-")) continue;
    for (const auto& fixture : read_fixtures(entry.path())) {
      ++compared;
      const auto ours = refusal_of(fixture.bytes);
      if (fixture.refused_by_llhttp) {
        ++refused;
        EXPECT_NE(ours, "") << "laxer than llhttp: " << fixture.name << "\n" << fixture.bytes;
      } else if (!ours.empty()) {
        EXPECT_TRUE(stricter().contains(fixture.name)) << "{\"" << fixture.name << "\", \"" << ours << "\"},";
      } else {
        ++accepted;
        EXPECT_FALSE(stricter().contains(fixture.name)) << "no deviation any more: " << fixture.name;
      }
    }
  }
  // So that a change of the suite's form is noticed.
  EXPECT_GE(compared, 100);
  EXPECT_GE(refused, 40);
  EXPECT_GE(accepted, 10);
}

}  // namespace
}  // namespace imgrec::http::llhttp_test
