// Reads a request's head strictly (RFC 9112). Private to lib/http; no I/O, so that tests can feed it anything.
//
// Beast's own parser accepts framings that two servers understand differently (Transfer-Encoding beside Content-Length,
// folded lines, two Hosts); a check beside it would be a second parser to disagree with. So this one alone decides.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/ports/http_client.hpp"

namespace imgrec::http {

/// What to answer instead of handing the request on; the connection is closed after it.
struct Refusal {
  int status = 400;
  std::string code;    // snake_case
  std::string detail;  // one sentence for the client's programmer
};

enum class HeadState { need_more, complete, refused };

struct HeadScan {
  HeadState state = HeadState::need_more;
  std::size_t length = 0;  // complete: bytes up to and with the empty line
  Refusal refusal;
};

/// Looks for the end of the head in what has arrived so far; `scanned` is what an earlier call has seen (0 at first)
/// and is moved on. Refuses at once what cannot become a request: control characters, lone CR or LF, more than
/// bytes_max. One empty line before the request line is skipped (RFC 9112, section 2.2).
HeadScan scan_head(std::string_view bytes, std::size_t& scanned, std::uint64_t bytes_max);

struct RequestHead {
  std::string method, target, path;
  std::vector<std::pair<std::string, std::string>> query;
  HttpHeaders headers;  // names in lower case
  int version_minor = 1;
  bool chunked = false;
  std::uint64_t content_length = 0;
  bool expects_continue = false;
  bool keep_alive = true;
};

/// `head` is a complete one, as scan_head found it.
std::expected<RequestHead, Refusal> parse_head(std::string_view head);

}  // namespace imgrec::http
