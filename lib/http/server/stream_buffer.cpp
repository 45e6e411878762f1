#include "lib/http/server/stream_buffer.hpp"
// Asio first (see there).
#include "lib/http/server/session.hpp"

namespace imgrec::http {

ResponseStream::Write StreamBuffer::write(std::string_view piece) {
  std::unique_lock lock(mutex_);
  if (ended_) return ResponseStream::Write::closed;
  if (bytes_.size() + bytes_in_flight_ >= bytes_max_) {
    room_wanted_ = true;
    return ResponseStream::Write::full;
  }
  const bool was_empty = bytes_.empty();
  bytes_.append(piece);
  lock.unlock();
  if (was_empty && !piece.empty()) wake();
  return ResponseStream::Write::taken;
}

void StreamBuffer::end(bool complete) {
  {
    std::lock_guard lock(mutex_);
    if (ended_) return;
    ended_ = true;
    complete_ = complete;
  }
  wake();
}

StreamBuffer::Next StreamBuffer::take() {
  std::lock_guard lock(mutex_);
  Next next{.bytes = std::exchange(bytes_, {}), .ended = ended_, .complete = complete_};
  bytes_in_flight_ = next.bytes.size();
  next.has_room = room_wanted_ && bytes_in_flight_ < bytes_max_;
  if (next.has_room) room_wanted_ = false;
  return next;
}

void StreamBuffer::close() {
  std::lock_guard lock(mutex_);
  ended_ = true;
  bytes_ = {};
}

void StreamBuffer::wake() {
  io_thread_->post([weak = session_] {
    if (const auto session = weak.lock()) session->stream_changed();
  });
}

}  // namespace imgrec::http
