// TLS from the client's side, and certificates for tests.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "lib/base/units.hpp"

struct ssl_st;
struct ssl_ctx_st;

namespace imgrec::test {

/// Writes a new key and a certificate of that name for it, signed by itself, each with write_file_atomic.
void write_certificate(const std::filesystem::path& certificate, const std::filesystem::path& key,
                       const std::string& name);

struct TlsClientOptions {
  int version_max = 0;         // of OpenSSL's numbers, such as TLS1_1_VERSION; 0: any
  std::string protocols = {};  // ALPN, as on the wire: "\x02h2"
};

/// Blocking, with a time limit of 10 s on every wait. It trusts every certificate, and tells whose it got.
class TlsClient {
 public:
  explicit TlsClient(int port, const TlsClientOptions& options = {});
  ~TlsClient();
  TlsClient(const TlsClient&) = delete;

  bool connected() const { return connected_; }
  /// The certificate's name; empty when there was no handshake.
  std::string peer_name() const;
  std::string protocol() const;  // chosen by ALPN
  int version() const;

  bool send(std::string_view bytes);
  /// What arrives next; empty at the end, on an error and after the time limit.
  std::string read_some();
  /// One response by its Content-Length.
  std::string read_response();
  std::string read_all();
  /// Whether the end that was read was announced (close_notify), so that nothing can have been cut off.
  bool was_ended() const;

 private:
  struct Free {
    void operator()(ssl_st* ssl) const;
    void operator()(ssl_ctx_st* context) const;
  };
  int fd_ = -1;
  std::unique_ptr<ssl_ctx_st, Free> context_;
  std::unique_ptr<ssl_st, Free> ssl_;
  bool connected_ = false;
  std::string kept_;
};

}  // namespace imgrec::test
