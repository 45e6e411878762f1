#include "lib/http/server/session.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <cassert>
#include <cerrno>

#include "lib/http/server/session_sink.hpp"

namespace imgrec::http {
namespace {

using boost::system::error_code;

constexpr std::string_view kGoneCallback = "callback for a client that left";
constexpr std::size_t kEofReadBytes = 16 * kKiB;

}  // namespace

Session::Session(ServerContext& context, asio::ip::tcp::socket socket, bool on_reserve)
    : context_(context), socket_(std::move(socket)), timer_(context.io), wake_(context.io), on_reserve_(on_reserve) {
  if (context.options.tls) tls_ = std::make_unique<TlsStream>(context.options.tls->context(), socket_.native_handle());
  ++context_.connections;
  error_code gone;
  const auto peer = socket_.remote_endpoint(gone);
  if (gone) return;
  const auto address = peer.address().to_string();
  remote_ = (peer.address().is_v6() ? "[" + address + "]" : address) + ":" + std::to_string(peer.port());
}

void Session::start(std::shared_ptr<Session> session) {
  ServerContext& context = session->context_;
  context.sessions.emplace(session.get(), session);
  context.connections_total.fetch_add(1, std::memory_order_relaxed);
  context.count_open(1);
  // co_spawn(…, detached) would swallow an exception (memory, most likely), and with it the session's end.
  asio::co_spawn(context.io, run(session), [session](std::exception_ptr failure) {
    if (failure) {
      run_guarded(session->context_, "connection", [&] { std::rethrow_exception(failure); });
    }
    session->end();
  });
}

void Session::end() {
  enter(Stage::idle);
  abort();
  ended_ = true;
  tell_client_gone();
  context_.sessions.erase(this);
  context_.count_open(-1);
}

asio::awaitable<void> Session::run(std::shared_ptr<Session> self) {
  // Not `while (co_await …)`: g++ 12 makes broken code of a co_await in a loop's condition (a wrong `this`).
  bool more = true;
  if (self->tls_) more = co_await self->shake_hands();
  while (more) {
    bool failed = false;
    try {
      more = co_await self->serve_one();
    } catch (const std::exception& e) {
      self->context_.failures.write("connection", e.what());
      failed = true;
    }
    if (failed) more = co_await self->answer_internal_error();
  }
}

asio::awaitable<bool> Session::serve_one() {
  enter(Stage::idle);
  if (context_.draining || aborted_) co_return false;
  forget_request();
  const auto outcome = co_await read_request();
  disarm();
  if (outcome == Outcome::closed) {
    if (stage_ == Stage::idle && !aborted_) send_end();  // between requests: nothing is cut off
    co_return false;
  }
  if (outcome == Outcome::refused) {
    answer_refusal();
  } else if (outcome == Outcome::ok) {
    dispatch();
    const bool there = co_await wait_for_answer();
    if (!there) co_return false;
  }
  if (context_.draining || on_reserve_) framing_.keep_alive = false;
  const bool written = co_await write_answer();
  if (!written) co_return false;
  if (framing_.keep_alive) co_return co_await skip_rest_of_body();
  co_await linger();
  co_return false;
}

// Something threw (memory is short, most likely). The connection is of no further use, but its client is told.
asio::awaitable<bool> Session::answer_internal_error() {
  disarm();
  ++serial_;  // the handler's own answer comes too late
  tell_client_gone();
  drop_body();
  if (aborted_ || answer_begun_) co_return false;
  framing_.keep_alive = false;
  answer_ = make_error(500, "internal_error", "The server failed to answer; see its log.");
  const bool written = co_await write_answer();
  if (written) co_await linger();
  co_return false;
}

void Session::answer_refusal() {
  context_.refused_total.fetch_add(1, std::memory_order_relaxed);
  framing_.keep_alive = false;
  drop_body();
  answer_ = make_error(refusal_.status, refusal_.code, refusal_.detail);
  // The server alone is short of nothing but memory.
  if (refusal_.status == 503) {
    answer_->headers.emplace_back("Retry-After", std::to_string(context_.memory_retry_after().count()));
  }
}

// At once, not only when the connection has ended: others may wait for the memory.
void Session::drop_body() {
  body_ = {};
  reservation_.reset();
}

// Not in the coroutine: g++ 12 copies the temporary of `request_ = {}` there bit by bit, strings and all.
void Session::forget_request() {
  request_ = {};
  framing_ = {};
  drop_body();
  marked_bytes_.reset();
  is_slow_ = false;
  upload_ended_ = false;
  body_bytes_to_skip_ = 0;
  answered_ = false;
  answer_begun_ = false;
  answer_.reset();
  stream_.reset();
  stream_callbacks_ = {};
  on_client_gone_ = {};
  eof_ = ClientEof::ignored;
}

void Session::dispatch() {
  ++serial_;
  context_.requests_total.fetch_add(1, std::memory_order_relaxed);
  request_.body = std::exchange(body_, {});
  request_.memory = std::exchange(reservation_, {});
  Responder responder(
      std::make_shared<SessionSink>(context_.io_thread, weak_from_this(), serial_, context_.options.stream_bytes_max));
  // When the handler throws, the Responder goes unused, which answers 500.
  run_guarded(context_, "request handler", [&] { context_.handler(std::move(request_), std::move(responder)); });
}

void Session::deliver(std::uint64_t serial, std::optional<Response> response) {
  if (serial != serial_ || answered_) return;
  answered_ = true;
  answer_ = std::move(response);
  on_client_gone_ = {};
  wake_.cancel();
}

void Session::deliver_stream(std::uint64_t serial, Response head, std::shared_ptr<StreamBuffer> stream,
                             StreamCallbacks callbacks) {
  if (serial != serial_ || answered_ || ended_) {
    stream->close();
    if (callbacks.on_client_gone) run_guarded(context_, kGoneCallback, callbacks.on_client_gone);
    return;
  }
  stream_ = std::move(stream);
  stream_callbacks_ = std::move(callbacks);
  if (stream_callbacks_.eof == ClientEof::gone && watching_peer_) watch_eof();
  deliver(serial, std::move(head));
}

void Session::watch_client(std::uint64_t serial, IoCallback callback, ClientEof eof) {
  if (serial != serial_ || answered_) return;
  if (ended_ && callback) run_guarded(context_, kGoneCallback, callback);
  if (ended_) return;
  on_client_gone_ = std::move(callback);
  eof_ = eof;
  if (eof == ClientEof::gone && watching_peer_) watch_eof();
}

void Session::tell_client_gone() {
  if (stream_) {
    stream_->close();
    on_client_gone_ = std::move(stream_callbacks_.on_client_gone);
  }
  // The callbacks may hold the stream, which holds nothing of the session: all go here.
  stream_.reset();
  stream_callbacks_ = {};
  if (IoCallback callback = std::exchange(on_client_gone_, {})) {
    run_guarded(context_, kGoneCallback, callback);
  }
}

void Session::tell_drain() {
  if (!context_.draining || !stream_callbacks_.on_drain) return;
  IoCallback callback = std::exchange(stream_callbacks_.on_drain, {});
  run_guarded(context_, "callback for the drain of a stream", callback);
}

asio::awaitable<void> Session::wait_for_wake() {
  error_code cancelled;
  wake_.expires_at(asio::steady_timer::time_point::max());
  co_await wake_.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
}

// False when there is nobody left to answer.
asio::awaitable<bool> Session::wait_for_answer() {
  watch_peer();
  if (eof_ == ClientEof::gone) watch_eof();
  while (!answered_ && !peer_gone_ && !aborted_) co_await wait_for_wake();
  unwatch_peer();
  co_return !peer_gone_ && !aborted_;
}

Response Session::make_error(int status, const std::string& code, const std::string& detail) const {
  Response error;
  error.status = status;
  error.body = code + ": " + detail + "\n";
  if (context_.options.make_error) {
    run_guarded(context_, "answering an error",
                [&] { error = context_.options.make_error(status, code, detail, id_); });
  }
  return error;
}

void Session::arm(Millis timeout) {
  timed_out_ = false;
  timer_.expires_after(timeout);
  timer_.async_wait([self = shared_from_this(), armed = ++armed_](error_code cancelled) {
    if (cancelled || armed != self->armed_) return;
    self->timed_out_ = true;
    self->wake_.cancel();
    error_code ignored;
    self->socket_.cancel(ignored);
  });
}

void Session::disarm() {
  ++armed_;
  timed_out_ = false;
  timer_.cancel();
}

// While nothing is read, only this tells that the connection broke: epoll reports an error or a hang-up of both
// directions, but not a half-close, whose sender may still wait for its answer (see watch_eof).
void Session::watch_peer() {
  assert(!watching_peer_);
  peer_gone_ = false;
  watching_peer_ = true;
  watching_eof_ = false;
  socket_.async_wait(asio::ip::tcp::socket::wait_error,
                     [self = shared_from_this(), watched = ++watched_](error_code cancelled) {
                       if (cancelled || watched != self->watched_) return;
                       pollfd state{self->socket_.native_handle(), 0, 0};
                       // Urgent data ends the wait, too: it is no error, and not waited for again.
                       if (::poll(&state, 1, 0) <= 0 || (state.revents & (POLLERR | POLLHUP)) == 0) return;
                       self->peer_left();
                     });
}

// The end of what the client sends shows only behind all it has sent: a request that follows early is read, up to a
// limit, and kept.
void Session::watch_eof() {
  if (watching_eof_ || peer_gone_) return;
  watching_eof_ = true;
  auto look = [self = shared_from_this(), watched = watched_](error_code cancelled) {
    if (cancelled || watched != self->watched_) return;
    self->watching_eof_ = false;
    if (self->receive(self->in_, kEofReadBytes) == 0) return self->peer_left();
    if (self->in_.size() < self->context_.options.header_bytes_max) self->watch_eof();
  };
  if (has_decrypted_bytes()) return asio::post(context_.io, [look = std::move(look)]() mutable { look({}); });
  socket_.async_wait(asio::ip::tcp::socket::wait_read, std::move(look));
}

void Session::unwatch_peer() {
  ++watched_;
  watching_peer_ = false;
  error_code ignored;
  socket_.cancel(ignored);
}

void Session::peer_left() {
  peer_gone_ = true;
  wake_.cancel();
  error_code ignored;
  if (stream_) socket_.cancel(ignored);  // whatever is being written
}

void Session::enter(Stage stage) {
  if ((stage_ == Stage::busy) != (stage == Stage::busy)) context_.count_busy(stage == Stage::busy ? 1 : -1);
  stage_ = stage;
}

// Again for one that is silent already: it has just spoken, and is now the last to be evicted.
void Session::set_silent(bool silent) {
  if (silent_place_) context_.silent.erase(*silent_place_);
  silent_place_.reset();
  if (silent && !aborted_) silent_place_ = context_.silent.insert(context_.silent.end(), this);
}

bool Session::has_unread_bytes() {
  error_code ignored;
  return has_decrypted_bytes() || socket_.available(ignored) > 0;
}

void Session::drain() {
  error_code ignored;
  if (stage_ == Stage::idle && !has_unread_bytes()) socket_.cancel(ignored);
  tell_drain();
}

void Session::abort() {
  aborted_ = true;
  set_silent(false);
  if (std::exchange(counted_, false)) --context_.connections;
  error_code ignored;
  socket_.close(ignored);
  timer_.cancel();
  wake_.cancel();
}

}  // namespace imgrec::http
