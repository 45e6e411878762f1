// TLS on a connected socket that never blocks. Private to lib/http/load.
#pragma once

#include <memory>
#include <string>

#include "lib/base/result.hpp"
#include "lib/base/units.hpp"
#include "lib/http/load/target.hpp"

struct ssl_st;
struct ssl_ctx_st;

namespace imgrec::load {

/// What became of reading or writing: `bytes` moved (0: none for now), or the connection is over.
struct Moved {
  std::size_t bytes = 0;
  bool over = false;
  bool closed_orderly = false;
};

/// Certificates are verified for the target's name or address.
class TlsContext {
 public:
  /// ca_bundle: PEM file of the only authorities to be trusted; empty: this machine's.
  /// Errors: invalid "bad_ca_bundle".
  static Result<std::shared_ptr<TlsContext>> make(const std::string& ca_bundle);
  explicit TlsContext(ssl_ctx_st* context) : context_(context) {}
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;
  ssl_ctx_st* get() const { return context_; }

 private:
  ssl_ctx_st* const context_;
};

class TlsChannel {
 public:
  /// The socket stays the caller's, and the handshake is part of the first send().
  TlsChannel(const TlsContext& context, int socket, const Target& target);

  /// Bytes that were offered and not taken are offered again, the same ones first.
  Moved send(ByteView bytes);
  Moved receive(char* into, std::size_t size);
  /// Why it is over, when that is TLS's fault; empty: it is not.
  const std::string& trouble() const { return trouble_; }

 private:
  struct Free {
    void operator()(ssl_st* ssl) const;
  };
  Moved moved(int outcome, std::size_t bytes);

  std::unique_ptr<ssl_st, Free> ssl_;
  std::string trouble_;
};

}  // namespace imgrec::load
