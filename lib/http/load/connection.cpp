#include "lib/http/load/connection.hpp"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace imgrec::load {
namespace {

constexpr std::size_t kPiecesMax = 64;  // of one write; the system takes 1024

}  // namespace

void Connection::begin(Exchange next, MonoTime started) {
  bytes = next.head.size();
  for (const ByteView piece : next.body) bytes += piece.size();
  exchange = std::move(next);
  started_at = started;
  sent_at.reset();
  sent = 0;
}

// One piece after the other: TLS copies them anyway.
bool Connection::send_more_by_tls() {
  while (!is_sent()) {
    std::size_t skip = sent;
    ByteView next = ByteView(exchange->head);
    for (const ByteView piece : exchange->body) {
      if (skip < next.size()) break;
      skip -= next.size();
      next = piece;
    }
    const Moved moved = tls->send(next.substr(skip));
    if (moved.over) return false;
    if (moved.bytes == 0) return true;
    sent += moved.bytes;
  }
  return true;
}

bool Connection::send_more() {
  if (tls != nullptr) return send_more_by_tls();
  while (!is_sent()) {
    std::array<iovec, kPiecesMax> pieces{};
    std::size_t count = 0, skip = sent;
    const auto add = [&](ByteView piece) {
      const std::size_t skipped = std::min(skip, piece.size());
      skip -= skipped;
      if (skipped < piece.size() && count < pieces.size()) {
        pieces[count++] = {const_cast<char*>(piece.data()) + skipped, piece.size() - skipped};
      }
    };
    add(exchange->head);
    for (const ByteView piece : exchange->body) add(piece);
    msghdr message{};
    message.msg_iov = pieces.data();
    message.msg_iovlen = count;
    const ssize_t written = ::sendmsg(socket.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (written < 0) return errno == EAGAIN || errno == EINTR;
    sent += static_cast<std::size_t>(written);
  }
  return true;
}

Moved Connection::receive(char* into, std::size_t size) {
  if (tls != nullptr) return tls->receive(into, size);
  const ssize_t got = ::recv(socket.get(), into, size, MSG_DONTWAIT);
  if (got > 0) return {.bytes = static_cast<std::size_t>(got)};
  if (got == 0) return {.over = true, .closed_orderly = true};
  return {.over = errno != EAGAIN && errno != EINTR};
}

Error Connection::error() const {
  if (tls != nullptr && !tls->trouble().empty()) {
    return {ErrorKind::transient, "tls_failed", "No TLS connection: " + tls->trouble() + "."};
  }
  return {ErrorKind::transient, "connection_lost", std::string("The connection broke: ") + std::strerror(errno) + "."};
}

}  // namespace imgrec::load
