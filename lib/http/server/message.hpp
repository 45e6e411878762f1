// What a client asks and what it is answered.
#pragma once

#include <any>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/base/clock.hpp"
#include "lib/base/ids.hpp"
#include "lib/ports/http_client.hpp"

namespace imgrec {

struct Request {
  /// Also in the answer's X-Request-Id: that of the client's X-Request-Id when it is 1 to 64 of A-Z a-z 0-9 . _ -, else
  /// made by the server.
  RequestId id;
  std::string method;  // "POST"
  std::string target;  // as sent: "/v1/jobs/X?wait=1"
  /// Percent-decoded; always begins with "/": "/v1/jobs/X" ("/" for the target *). No NUL, but else anything: dot
  /// segments, "//" and an encoded "/" are left as they are, for the router to refuse.
  std::string path;
  std::vector<std::pair<std::string, std::string>> query;  // decoded, in order
  HttpHeaders headers;                                     // names in lower case
  std::string body;                                        // de-chunked
  /// The body's share of ServerOptions::buffered_bytes_max. It counts until the last copy goes, on whatever thread and
  /// even after the server has ended: who keeps the body keeps this with it. Empty when there is no body.
  std::shared_ptr<void> memory;
  std::string remote;      // "127.0.0.1:54321"
  bool encrypted = false;  // came over TLS of this server
  MonoTime received_at{};  // when the head was complete
  std::any attachment;     // what the head hook attached for the handler (HeadDecision::attachment); else empty

  /// The first header of that (lower-case) name; nothing when there is none.
  std::optional<std::string_view> header(std::string_view name) const;
  std::optional<std::string_view> query_value(std::string_view name) const;
};

/// The server adds Content-Length, Date, Connection, X-Request-Id and X-Content-Type-Options. A header that is no valid
/// one (a line break in its value) is left out and logged; "Connection: close" closes after the answer.
struct Response {
  int status = 200;  // 200 to 599
  std::string content_type = "text/plain; charset=utf-8";
  HttpHeaders headers = {};
  std::string body = {};
};

}  // namespace imgrec
