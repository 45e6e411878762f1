// An HTTP/1.1 server that never holds a thread for a waiting client. Asio and Beast stay behind this header.
//
//   Server server(options, [](Request request, Responder responder) { responder.send({.body = "hello"}); });
//   auto port = server.start();
//   …
//   server.drain(deadline);
//
// Threads: one, the I/O thread, does all reading and writing and runs the handler and all callbacks. Nothing that runs
// on it may block; a handler posts work that may block to a pool of its own and answers from there.
//
// Framing is checked strictly (RFC 9112) before a request is handed on; what is wrong is answered and the connection
// closed: 400 framing, 408 too slow, 413 body, 417, 431 headers, 501 method or transfer coding, 505 version.
//
// Limits. Connections: beyond connections_max the one that has been silent for longest (idle between requests, or its
// head incomplete) is closed for the new one. When none is silent, connections_reserve more are accepted, on which only
// GET and HEAD are served, so that health and metrics stay readable; beyond that a new connection is closed at once.
// Both limits are lowered, with a warning, where the process may not open so many files.
// Memory: bodies count against buffered_bytes_max as they arrive, whatever they promise. The first body_bytes_floor
// bytes of each never wait. When the rest has no room it waits unread, and after memory_wait_max the slowest of the
// large uploads is ended (503 with Retry-After) to make room; at once where one holds much and trickles.
// Time: every step has a limit, and a body must arrive at body_rate_min.
//
// A client that goes away while it waits frees its place at once when its connection breaks (reset); after an orderly
// close, which looks like a client that only ended its sending side and still listens, at once if the handler asked for
// that (Responder::on_client_gone), else TCP keep-alive probes find out within about 60 seconds.
#pragma once

#include <any>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "lib/base/result.hpp"
#include "lib/base/units.hpp"
#include "lib/http/server/message.hpp"
#include "lib/http/server/responder.hpp"
#include "lib/http/server/tls.hpp"

namespace imgrec {

/// Runs on the I/O thread and must not block. An exception that leaves it answers 500.
using RequestHandler = std::function<void(Request, Responder)>;

/// What becomes of a request whose head is read and checked.
struct HeadDecision {
  enum class Kind {
    accept,  // its body is read, then the handler runs
    /// `response` is sent at once, without the body: no 100 Continue is sent for it, a small rest of it is read and
    /// thrown away, and with a larger one the connection is closed after the answer.
    answer,
    drop  // the connection is closed without an answer
  };
  Kind kind = Kind::accept;
  Response response = {};
  std::any attachment = {};  // of an accepted request: what the hook found out, for the handler (Request::attachment)

  static HeadDecision accept(std::any attachment = {}) {
    return {.kind = Kind::accept, .response = {}, .attachment = std::move(attachment)};
  }
  static HeadDecision answer(Response response) {
    return {.kind = Kind::answer, .response = std::move(response), .attachment = {}};
  }
  static HeadDecision drop() { return {.kind = Kind::drop, .response = {}, .attachment = {}}; }
};

struct HeadContext {
  std::uint64_t content_length = 0;  // 0 when there is none, or the body is chunked
  bool chunked = false;
  /// The connection is one of the reserve. What is neither GET nor HEAD, or has a body, is dropped even if accepted.
  bool on_reserve = false;
};

/// `request` has no body yet. Runs on the I/O thread and must not block. An exception that leaves it answers 500.
using HeadHook = std::function<HeadDecision(const Request& request, const HeadContext& context)>;

struct ServerOptions {
  std::string bind = "127.0.0.1";
  int port = 8000;  // 0: any free one
  int connections_max = 1024;
  int connections_reserve = 64;  // beyond connections_max, for GET and HEAD
  std::uint64_t header_bytes_max = 16 * kKiB;
  std::uint64_t body_bytes_max = 64 * kMiB;
  std::uint64_t buffered_bytes_max = 512 * kMiB;  // of all bodies; exceeded by the floors alone
  std::uint64_t body_bytes_floor = 64 * kKiB;     // of each body, which never waits for room
  std::uint64_t stream_bytes_max = 256 * kKiB;    // written to a ResponseStream and not sent yet
  std::uint64_t body_rate_min = kKiB;             // bytes a second, over each body_rate_window; 0: any
  Millis body_rate_window{10'000};
  Millis memory_wait_max{5'000};  // then the slowest large upload is ended for the one that waits
  Millis header_timeout{10'000};
  Millis body_timeout{120'000};
  Millis idle_timeout{75'000};
  Millis write_timeout{30'000};
  /// TLS, and nothing else, is spoken with it; a handshake has header_timeout. Null: HTTP without TLS.
  std::shared_ptr<TlsCertificate> tls = {};
  /// Decides on every request before its body is read. Without it all are accepted.
  HeadHook on_head = {};
  /// Makes the answer to what never reaches the handler (framing, limits, time-outs): status, code, detail.
  /// Without it: text/plain.
  std::function<Response(int status, std::string code, std::string detail, const RequestId&)> make_error = {};
};

struct ServerStats {
  int connections_max = 0;  // ServerOptions::connections_max, or what the limit of open files leaves
  std::uint64_t connections_open = 0, connections_total = 0, requests_total = 0;
  std::uint64_t refused_total = 0;              // requests answered with an error by the server itself
  std::uint64_t connections_evicted_total = 0;  // silent ones, closed for a new one
  std::uint64_t connections_refused_total = 0;  // closed at once: connections and reserve were in use
  std::uint64_t uploads_ended_total = 0;        // large uploads ended for others
  std::uint64_t handshakes_failed_total = 0;    // of TLS
  std::uint64_t body_bytes_buffered = 0;
};

/// start(), drain() and the destructor belong to one thread; stats() is thread-safe.
class Server {
 public:
  Server(ServerOptions options, RequestHandler handler);
  /// Closes what is open and waits for the I/O thread.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Binds and serves in a thread of its own. Returns the port. Errors: denied / invalid "cannot_listen" (says who may
  /// hold the port and how to choose another).
  Result<int> start();

  /// Blocks. Stops accepting, closes idle connections, answers what is in progress with "Connection: close", and tells
  /// open streams to end; returns true when all was answered by the deadline, else cuts the rest off.
  bool drain(Millis timeout);

  ServerStats stats() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace imgrec
