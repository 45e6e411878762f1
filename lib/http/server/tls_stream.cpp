#include "lib/http/server/tls_stream.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <new>

namespace imgrec::http {
namespace {

int socket_of(BIO* bio) {
  return *static_cast<const int*>(BIO_get_data(bio));
}

template <class Call>
int transfer(BIO* bio, std::size_t length, std::size_t* transferred, int retry_flag, Call call) {
  BIO_clear_retry_flags(bio);
  *transferred = 0;
  ssize_t count = 0;
  do count = call(socket_of(bio), length);
  while (count < 0 && errno == EINTR);
  if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) BIO_set_flags(bio, retry_flag | BIO_FLAGS_SHOULD_RETRY);
  if (count <= 0) return 0;
  *transferred = static_cast<std::size_t>(count);
  return 1;
}

int bio_write(BIO* bio, const char* bytes, std::size_t length, std::size_t* written) {
  return transfer(bio, length, written, BIO_FLAGS_WRITE,
                  [&](int fd, std::size_t size) { return ::send(fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT); });
}

int bio_read(BIO* bio, char* bytes, std::size_t length, std::size_t* got) {
  return transfer(bio, length, got, BIO_FLAGS_READ,
                  [&](int fd, std::size_t size) { return ::recv(fd, bytes, size, MSG_DONTWAIT); });
}

long bio_control(BIO*, int command, long, void*) {
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

// OpenSSL's own for sockets would raise SIGPIPE.
const BIO_METHOD* socket_method() {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket without signals");
    if (made == nullptr) throw std::bad_alloc();
    BIO_meth_set_write_ex(made, bio_write);
    BIO_meth_set_read_ex(made, bio_read);
    BIO_meth_set_ctrl(made, bio_control);
    return made;
  }();
  return method;
}

}  // namespace

void TlsStream::Free::operator()(ssl_st* ssl) const {
  SSL_free(ssl);
}

TlsStream::TlsStream(const std::shared_ptr<ssl_ctx_st>& context, int socket)
    : socket_(socket), ssl_(SSL_new(context.get())) {
  BIO* const bio = ssl_ ? BIO_new(socket_method()) : nullptr;
  if (bio == nullptr) throw std::bad_alloc();
  BIO_set_data(bio, &socket_);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_.get(), bio, bio);
  SSL_set_accept_state(ssl_.get());
}

TlsStream::Handshake TlsStream::handshake() {
  ERR_clear_error();
  const int outcome = SSL_do_handshake(ssl_.get());
  if (outcome == 1) {
    ready_ = true;
    return Handshake::done;
  }
  const int error = SSL_get_error(ssl_.get(), outcome);
  if (error == SSL_ERROR_WANT_READ) return Handshake::needs_read;
  if (error == SSL_ERROR_WANT_WRITE) return Handshake::needs_write;
  remember_failure(error);
  return Handshake::failed;
}

void TlsStream::remember_failure(int error) {
  const unsigned long code = error == SSL_ERROR_SSL ? ERR_peek_error() : 0;
  is_plain_http_ = ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == SSL_R_HTTP_REQUEST;
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  failure_ = reason != nullptr ? reason : "the connection ended";
  failed_ = true;
  ERR_clear_error();
}

std::ptrdiff_t TlsStream::read(char* bytes, std::size_t bytes_max) {
  std::size_t total = 0;
  while (total < bytes_max && !failed_) {
    ERR_clear_error();
    std::size_t got = 0;
    if (SSL_read_ex(ssl_.get(), bytes + total, bytes_max - total, &got) == 1) {
      total += got;
      read_blocked_ = false;
      continue;
    }
    const int error = SSL_get_error(ssl_.get(), 0);
    read_needs_write_ = error == SSL_ERROR_WANT_WRITE;
    read_blocked_ = error == SSL_ERROR_WANT_READ || read_needs_write_;
    if (read_blocked_) return total > 0 ? static_cast<std::ptrdiff_t>(total) : -1;
    if (error != SSL_ERROR_ZERO_RETURN) remember_failure(error);
    break;
  }
  return static_cast<std::ptrdiff_t>(total);
}

std::ptrdiff_t TlsStream::write(std::string_view bytes) {
  if (failed_ || bytes.empty()) return failed_ ? -1 : 0;
  ERR_clear_error();
  std::size_t written = 0;
  if (SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &written) == 1) return static_cast<std::ptrdiff_t>(written);
  const int error = SSL_get_error(ssl_.get(), 0);
  if (error == SSL_ERROR_WANT_WRITE) return 0;
  remember_failure(error);
  return -1;
}

// After a read that blocked, what is buffered is a part of a record: the rest comes from the socket.
bool TlsStream::has_unread() const {
  return !read_blocked_ && SSL_has_pending(ssl_.get()) == 1;
}

void TlsStream::send_end() {
  if (!ready_ || failed_) return;
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
  ERR_clear_error();
}

}  // namespace imgrec::http
