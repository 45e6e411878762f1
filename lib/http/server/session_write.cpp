// How a session writes an answer.
#include <array>
#include <cstdio>

#include "lib/http/server/session.hpp"

namespace imgrec::http {
namespace {

using boost::system::error_code;

constexpr Millis kLinger{5'000};
constexpr Millis kLingerDraining{1'000};
constexpr std::uint64_t kLingerBytesMax = 16 * kMiB;

std::string chunk(std::string_view bytes) {
  std::array<char, 24> size{};
  std::snprintf(size.data(), size.size(), "%zx\r\n", bytes.size());
  std::string text(size.data());
  text.reserve(text.size() + bytes.size() + 2);
  text.append(bytes);
  text.append("\r\n");
  return text;
}

}  // namespace

ResponseMessage Session::to_answer(Response response) {
  if (response.status < 200 || response.status > 599) {
    log::error("a handler answered with an impossible status", {{"status", response.status}, {"request", id_}});
    response = make_error(500, "internal_error", "The server failed to answer; see its log.");
  }
  if (wants_close(response)) framing_.keep_alive = false;
  auto message = to_message(std::move(response), framing_.is_head, id_);
  if (!framing_.keep_alive) {
    message.set("Connection", "close");
  } else if (framing_.version_minor == 0) {
    message.set("Connection", "keep-alive");
  }
  return message;
}

asio::awaitable<bool> Session::write_answer() {
  if (stream_) co_return co_await write_stream();
  if (!answer_) answer_ = make_error(500, "internal_error", "The server failed to answer; see its log.");
  auto message = to_answer(std::move(*answer_));
  answer_.reset();
  answer_begun_ = true;
  std::string text = head_text(message);
  text += message.body();  // in one packet where they fit
  co_return co_await write_text(std::move(text));
}

// False when the client left, or the handler gave up before the end: its client must not take a part for the whole.
asio::awaitable<bool> Session::write_stream() {
  const bool chunked = framing_.version_minor > 0;
  if (!chunked) framing_.keep_alive = false;
  const int status = answer_->status;
  auto message = to_answer(std::move(*answer_));
  answer_.reset();
  const bool has_no_body = framing_.is_head || status == 204 || status == 304;
  message.erase("Content-Length");
  if (chunked && status != 204 && status != 304) message.set("Transfer-Encoding", "chunked");
  answer_begun_ = true;
  std::string head = head_text(message);
  bool complete = co_await write_text(std::move(head));
  if (complete && !has_no_body) complete = co_await write_pieces(chunked);
  if (!complete) co_return false;  // end() tells the handler
  if (has_no_body) tell_client_gone();
  if (!stream_) co_return true;
  stream_->close();
  stream_.reset();
  stream_callbacks_ = {};
  co_return true;
}

asio::awaitable<bool> Session::write_pieces(bool chunked) {
  watch_peer();
  if (stream_callbacks_.eof == ClientEof::gone) watch_eof();
  tell_drain();
  bool complete = false;
  while (!peer_gone_ && !aborted_) {
    auto next = stream_->take();
    if (next.has_room && stream_callbacks_.on_room) {
      run_guarded(context_, "callback for room in a stream", stream_callbacks_.on_room);
    }
    if (!next.bytes.empty()) {
      std::string text = std::move(next.bytes);
      if (chunked) text = chunk(text);
      const bool written = co_await write_text(std::move(text));
      if (!written) break;
    } else if (next.ended) {
      complete = next.complete;
      std::string last_chunk = "0\r\n\r\n";
      if (complete && chunked) complete = co_await write_text(std::move(last_chunk));
      break;
    } else {
      co_await wait_for_wake();
    }
  }
  unwatch_peer();
  co_return complete;
}

asio::awaitable<bool> Session::write_continue() {
  std::string text = "HTTP/1.1 100 Continue\r\n\r\n";
  return write_text(std::move(text));
}

// Closing with unread bytes makes TCP reset the connection, and the client may lose the answer: so what it still sends
// is read and thrown away for a while (RFC 9112, section 9.6), unless a new connection needs the place.
asio::awaitable<void> Session::linger() {
  enter(Stage::lingering);
  set_silent(true);
  send_end();
  arm(context_.draining ? kLingerDraining : kLinger);
  std::uint64_t thrown_away = 0;
  bool more = true;
  while (more && thrown_away < kLingerBytesMax) {
    thrown_away += in_.size();
    in_.clear();
    more = co_await read_more();
  }
  disarm();
}

}  // namespace imgrec::http
