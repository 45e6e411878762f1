// One connection of the engine and the exchange that it carries. Private to lib/http/load.
#pragma once

#include <memory>
#include <optional>

#include "lib/base/file.hpp"
#include "lib/http/load/engine.hpp"
#include "lib/http/load/tls_channel.hpp"

namespace imgrec::load {

struct Connection {
  Connection(Fd opened, std::uint64_t response_bytes_max)
      : socket(std::move(opened)), reader(std::make_unique<ResponseReader>(response_bytes_max)) {}

  Fd socket;
  std::unique_ptr<TlsChannel> tls;  // null: without
  bool is_connected = false;
  bool is_dead = false;  // closed; freed when nobody can mean it any more
  std::unique_ptr<ResponseReader> reader;
  std::optional<Exchange> exchange;  // nothing: the connection is idle
  MonoTime started_at{};             // when send() was called for it
  MonoTime idle_since{};             // while it is idle
  std::optional<MonoTime> sent_at;
  std::size_t sent = 0;   // of head and body together
  std::size_t bytes = 0;  // of head and body together

  bool is_sent() const { return sent == bytes; }
  void begin(Exchange next, MonoTime started);
  /// Writes what the socket takes now; returns false when the connection is over.
  bool send_more();
  Moved receive(char* into, std::size_t size);
  /// Whether a read that moved so many bytes of `size` may have left some behind. Of TLS, any may.
  bool may_have_more(const Moved& got, std::size_t size) const { return tls != nullptr || got.bytes == size; }
  /// Why it broke; errno says it where TLS does not.
  Error error() const;

 private:
  bool send_more_by_tls();
};

}  // namespace imgrec::load
