// TLS over one non-blocking socket. Private to lib/http.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

struct ssl_st;
struct ssl_ctx_st;

namespace imgrec::http {

/// Not thread-safe; nothing blocks. It does not own the socket. OpenSSL works on the socket itself rather than through
/// Asio's stream, so that bytes are decrypted straight to where they are wanted, and few files pay for both headers.
class TlsStream {
 public:
  TlsStream(const std::shared_ptr<ssl_ctx_st>& context, int socket);
  TlsStream(const TlsStream&) = delete;  // OpenSSL has the address of socket_
  TlsStream& operator=(const TlsStream&) = delete;

  enum class Handshake {
    done,
    needs_read,   // again when the socket can be read
    needs_write,  // … or written
    failed
  };
  Handshake handshake();
  /// Why it failed: for the log.
  const std::string& failure() const { return failure_; }
  /// It failed because the client spoke HTTP without TLS.
  bool is_plain_http() const { return is_plain_http_; }

  /// Like recv(2): how many bytes came; 0 at the end of the connection and after an error, -1 when there is nothing
  /// yet.
  std::ptrdiff_t read(char* bytes, std::size_t bytes_max);
  /// Like send(2): how many bytes were taken; 0 when the socket takes none now, -1 after an error. Bytes that were not
  /// taken have to be the next ones written.
  std::ptrdiff_t write(std::string_view bytes);

  /// Some that were received are not read yet: read() may have some although nothing comes from the socket any more.
  bool has_unread() const;
  /// The last read() returned -1 because it has to send something first.
  bool read_needs_write() const { return read_needs_write_; }

  /// Tells the client, as far as the socket takes it now, that nothing more will be sent: else what it has may be a
  /// part for all it knows.
  void send_end();

 private:
  struct Free {
    void operator()(ssl_st* ssl) const;
  };
  void remember_failure(int error);

  int socket_;
  std::unique_ptr<ssl_st, Free> ssl_;
  std::string failure_;
  bool is_plain_http_ = false;
  bool read_blocked_ = false, read_needs_write_ = false;
  bool failed_ = false, ready_ = false;
};

}  // namespace imgrec::http
