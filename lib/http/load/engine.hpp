// Sends many HTTP/1.1 requests at once from one thread, over connections that are kept: for a workload, where the
// client must not be what is measured.
//
// Threads   one; only wake() may be called from another.
// Order     none: each exchange ends on its own. What finds no connection free waits its turn, first come first served.
// Failure   an exchange ends with a response of any status, or with an error: transient "connect_failed",
//           "connection_lost", "timeout", "bad_response", "tls_failed". Nothing is sent twice.
// TLS       verified. A write to a connection that is gone raises SIGPIPE there: the process ignores that signal.
// Proxies   none are used, whatever the environment says.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lib/base/clock.hpp"
#include "lib/http/load/response_reader.hpp"
#include "lib/http/load/target.hpp"

namespace imgrec::load {

struct EngineOptions {
  std::size_t connections_max = 100;
  Millis timeout{0};  // of an exchange, from send() on; it ends up to a tenth of a second late. 0: none
  std::uint64_t response_bytes_max = 16 * kMiB;
  std::string ca_bundle{};  // https: PEM file of the only authorities to be trusted; empty: this machine's
};

struct Exchange {
  std::uint64_t tag = 0;            // given back at its end
  std::string head;                 // request line and header lines, with the empty line
  std::vector<ByteView> body = {};  // in pieces, which live until its end
};

struct ExchangeEnd {
  std::uint64_t tag = 0;
  MonoTime sent_at{};  // when its first byte was given to a connection; the end when none was
  MonoTime ended_at{};
  const Response* response = nullptr;  // or:
  const Error* error = nullptr;
};

class Engine {
 public:
  using OnEnd = std::function<void(const ExchangeEnd&)>;

  /// Looks the host up. Errors: transient "unknown_host", "too_many_open_files"; invalid "bad_ca_bundle".
  static Result<std::unique_ptr<Engine>> make(const Target& target, const EngineOptions& options, Clock& clock);
  virtual ~Engine() = default;

  /// Starts an exchange, or queues it while all connections are busy. May be called from on_end.
  virtual void send(Exchange exchange) = 0;
  /// Works until `until`, or until something happened: then calls on_end for each exchange that ended, and returns.
  virtual void work(MonoTime until, const OnEnd& on_end) = 0;
  /// Ends a work() that waits, or the next one. Thread-safe.
  virtual void wake() = 0;

  /// Exchanges that have not ended, those that wait for a connection among them.
  virtual std::size_t under_way() const = 0;
  virtual std::uint64_t connections_opened() const = 0;
};

}  // namespace imgrec::load
