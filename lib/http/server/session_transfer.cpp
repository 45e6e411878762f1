// How a session's bytes come and go.
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "lib/http/server/session.hpp"

namespace imgrec::http {
namespace {

using asio::ip::tcp;
using boost::system::error_code;

constexpr std::size_t kStreamReadBytes = 16 * kKiB;
constexpr std::size_t kGrowthBytes = 256 * kKiB;
constexpr std::string_view kSpeakTls =
    "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"
    "This port speaks TLS: use https:// instead of http://.\n";

}  // namespace

// Until the client and the server agree on keys. Nothing is in progress meanwhile: a connection that takes long is
// closed for a new one like any other that is silent.
asio::awaitable<bool> Session::shake_hands() {
  set_silent(true);
  arm(context_.options.header_timeout);
  bool ready = false;
  while (!ready && !timed_out_ && !aborted_) {
    const auto step = tls_->handshake();
    if (step == TlsStream::Handshake::failed) break;
    ready = step == TlsStream::Handshake::done;
    if (ready) break;
    error_code failure;
    const auto what = step == TlsStream::Handshake::needs_read ? tcp::socket::wait_read : tcp::socket::wait_write;
    co_await socket_.async_wait(what, asio::redirect_error(asio::use_awaitable, failure));
    if (failure) break;
  }
  disarm();
  if (!ready && !aborted_) {
    context_.handshakes_failed_total.fetch_add(1, std::memory_order_relaxed);
    log::debug("a TLS handshake failed", {{"client", remote_}, {"reason", tls_->failure()}});
    if (tls_->is_plain_http())
      ::send(socket_.native_handle(), kSpeakTls.data(), kSpeakTls.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  co_return ready;
}

// Decrypted bytes may be there already: then the other connections have a turn, and that is all.
asio::awaitable<error_code> Session::wait_readable() {
  error_code failure;
  if (has_decrypted_bytes()) {
    co_await asio::post(context_.io, asio::use_awaitable);
    co_return failure;
  }
  const bool needs_write = tls_ && tls_->read_needs_write();
  co_await socket_.async_wait(needs_write ? tcp::socket::wait_write : tcp::socket::wait_read,
                              asio::redirect_error(asio::use_awaitable, failure));
  co_return failure;
}

asio::awaitable<error_code> Session::wait_writable() {
  error_code failure;
  co_await socket_.async_wait(tcp::socket::wait_write, asio::redirect_error(asio::use_awaitable, failure));
  co_return failure;
}

// Appends what has arrived. Returns how much; 0 at the connection's end or an error, -1 when there is nothing yet. The
// string grows as bytes arrive: a client that promises much and sends little costs little.
std::ptrdiff_t Session::receive(std::string& into, std::size_t bytes_max) {
  const std::size_t before = into.size(), room = std::min(bytes_max, kGrowthBytes);
  std::ptrdiff_t got = 0;
  // Not resize(), which would fill with zeros first what is received over at once.
  into.resize_and_overwrite(before + room, [&](char* bytes, std::size_t) {
    if (tls_) {
      got = tls_->read(bytes + before, room);
    } else {
      do got = ::recv(socket_.native_handle(), bytes + before, room, MSG_DONTWAIT);
      while (got < 0 && errno == EINTR);
      if (got < 0) got = errno == EAGAIN || errno == EWOULDBLOCK ? -1 : 0;
    }
    return before + static_cast<std::size_t>(std::max<std::ptrdiff_t>(got, 0));
  });
  return got;
}

// Appends what arrives next to in_; false at the end, on an error, and after the time limit.
asio::awaitable<bool> Session::read_more() {
  while (!timed_out_ && !aborted_) {
    const auto length = receive(in_, kStreamReadBytes);
    if (length >= 0) co_return length > 0;
    const error_code failure = co_await wait_readable();
    if (failure) break;
  }
  co_return false;
}

// Returns how many were taken; 0 when none can be now, -1 on an error.
std::ptrdiff_t Session::send_now(std::string_view bytes) {
  if (tls_) return tls_->write(bytes);
  ssize_t sent = 0;
  do sent = ::send(socket_.native_handle(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  while (sent < 0 && errno == EINTR);
  if (sent < 0) return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
  return sent;
}

// Each wait has write_timeout: the limit is on standing still.
asio::awaitable<bool> Session::write_text(std::string text) {
  std::string_view rest = text;
  while (!rest.empty() && !aborted_) {
    const auto sent = send_now(rest);
    if (sent < 0) break;
    rest.remove_prefix(static_cast<std::size_t>(sent));
    if (sent > 0) continue;
    arm(context_.options.write_timeout);
    const error_code failure = co_await wait_writable();
    if (failure) break;
    disarm();
  }
  disarm();
  const bool all_sent = rest.empty();
  co_return all_sent;
}

// Nothing more will be sent.
void Session::send_end() {
  if (tls_) tls_->send_end();
  error_code ignored;
  socket_.shutdown(tcp::socket::shutdown_send, ignored);
}

}  // namespace imgrec::http
