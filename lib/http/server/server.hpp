// An HTTP/1.1 server that never holds a thread for a waiting client. Asio and Beast stay behind this header.
//
//   Server server(options, [](Request request, Responder responder) { responder.send({.body = "hello"}); });
//   auto port = server.start();
//   …
//   server.drain(deadline);
//
// Framing is checked strictly (RFC 9112) before a request is handed on; what is wrong is answered and the connection
// closed: 400 framing, 408 too slow, 413 body, 417, 431 headers, 501 method or transfer coding, 505 version.
//
// A client that goes away while it waits frees its place at once when its connection breaks (reset); after an orderly
// close, which looks like a client that only ended its sending side and still listens, TCP keep-alive probes find out
// within about 90 seconds. The handler's answer is then dropped.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/base/clock.hpp"
#include "lib/base/ids.hpp"
#include "lib/base/result.hpp"
#include "lib/base/units.hpp"
#include "lib/ports/http_client.hpp"

namespace imgrec {

struct Request {
  RequestId id;        // made by the server; also in the answer's X-Request-Id
  std::string method;  // "POST"
  std::string target;  // as sent: "/v1/jobs/X?wait=1"
  /// Percent-decoded; always begins with "/": "/v1/jobs/X" ("/" for the target *). No NUL, but else anything: dot
  /// segments, "//" and an encoded "/" are left as they are, for the router to refuse.
  std::string path;
  std::vector<std::pair<std::string, std::string>> query;  // decoded, in order
  HttpHeaders headers;                                     // names in lower case
  std::string body;        // de-chunked; counts as buffered until the handler has returned
  std::string remote;      // "127.0.0.1:54321"
  MonoTime received_at{};  // when the request line was read

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

/// The one answer to one request; may be kept, moved to another thread and used long after the handler returned.
/// Destroyed unused it answers 500. Thread-safe; only the first send() counts and returns true.
class Responder {
 public:
  /// The session behind it (or a test's). Both are thread-safe, and only the first call of either counts.
  class Sink {
   public:
    virtual ~Sink() = default;
    virtual bool send(Response response) = 0;
    virtual void abandon() = 0;  // the Responder is gone: answers 500 when nothing was sent
  };
  explicit Responder(std::shared_ptr<Sink> sink);
  Responder(Responder&&) noexcept;
  Responder& operator=(Responder&&) noexcept;
  ~Responder();
  bool send(Response response);

 private:
  std::shared_ptr<Sink> sink_;
};

/// Runs on the pool of blocking_threads; may block. An exception that leaves it answers 500.
using RequestHandler = std::function<void(Request, Responder)>;

struct ServerOptions {
  std::string bind = "127.0.0.1";
  int port = 8000;  // 0: any free one
  int blocking_threads = 4;
  int connections_max = 1024;  // more wait in the listen backlog
  std::uint64_t header_bytes_max = 16 * kKiB;
  std::uint64_t body_bytes_max = 64 * kMiB;
  std::uint64_t buffered_bytes_max = 512 * kMiB;
  Millis header_timeout{10'000};
  Millis body_timeout{120'000};
  Millis idle_timeout{75'000};
  Millis write_timeout{30'000};
  /// Makes the answer to what never reaches the handler (framing, limits, time-outs): status, code, detail.
  /// Without it: text/plain.
  std::function<Response(int status, std::string code, std::string detail, const RequestId&)> make_error = {};
};

struct ServerStats {
  std::uint64_t connections_open = 0, connections_total = 0, requests_total = 0, refused_total = 0;
  std::uint64_t body_bytes_buffered = 0;
};

class Server {
 public:
  Server(ServerOptions options, RequestHandler handler);
  ~Server();  // closes what is open
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Binds and serves in threads of its own. Returns the port. Errors: denied / invalid "cannot_listen" (says who may
  /// hold the port and how to choose another).
  Result<int> start();

  /// Stops accepting, closes idle connections, answers what is in progress with "Connection: close"; returns true when
  /// all was answered by the deadline, else cuts the rest off.
  bool drain(Millis timeout);

  ServerStats stats() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace imgrec
