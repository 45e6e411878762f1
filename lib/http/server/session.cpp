#include "lib/http/server/session.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "lib/base/log.hpp"
#include "lib/base/rng.hpp"
#include "lib/base/text.hpp"
#include "lib/http/syntax/chunked.hpp"

namespace imgrec::http {
namespace {

using boost::system::error_code;

constexpr std::size_t kReadBytes = 16 * kKiB;
constexpr std::size_t kBodyGrowthBytes = 256 * kKiB;
constexpr std::ptrdiff_t kBodyAtOnceBytes = 1024 * kKiB;
constexpr Millis kLinger{5'000};
constexpr Millis kLingerDraining{1'000};

// Bytes of the budget; given back, from whatever thread, when session and handler have let go of them.
struct Reservation {
  ServerContext& context;
  std::uint64_t bytes;
  Reservation(ServerContext& the_hub, std::uint64_t count) : context(the_hub), bytes(count) {}
  Reservation(const Reservation&) = delete;
  ~Reservation() {
    asio::post(context.io, [&budget = context.budget, count = bytes] { budget.release(count); });
  }
  void shrink_to(std::uint64_t count) {  // on the I/O thread
    context.budget.release(bytes - count);
    bytes = count;
  }
};

class SessionSink final : public Responder::Sink {
 public:
  SessionSink(std::shared_ptr<IoHandle> io_handle, std::weak_ptr<Session> session, std::uint64_t serial)
      : gate_(std::move(io_handle)), session_(std::move(session)), serial_(serial) {}
  bool send(Response response) override { return deliver(std::move(response)); }
  void abandon() override { deliver(std::nullopt); }

 private:
  bool deliver(std::optional<Response> response) {
    if (used_.exchange(true)) return false;
    gate_->post([session = session_, serial = serial_, response = std::move(response)]() mutable {
      if (const auto alive = session.lock()) alive->deliver(serial, std::move(response));
    });
    return true;
  }

  const std::shared_ptr<IoHandle> gate_;
  const std::weak_ptr<Session> session_;
  const std::uint64_t serial_;
  std::atomic<bool> used_ = false;
};

}  // namespace

Session::Session(ServerContext& context, asio::ip::tcp::socket socket)
    : context_(context), socket_(std::move(socket)), timer_(context.io), wake_(context.io), slot_(context.take_slot()) {
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
      try {
        std::rethrow_exception(failure);
      } catch (const std::exception& e) {
        log::error("a connection ended by an internal error", {{"remote", session->remote_}, {"error", e.what()}});
      }
    }
    session->enter(Stage::idle);
    session->abort();
    session->context_.sessions.erase(session.get());
    session->context_.count_open(-1);
  });
}

asio::awaitable<void> Session::run(std::shared_ptr<Session> self) {
  // Not `while (co_await …)`: g++ 12 makes broken code of a co_await in a loop's condition (a wrong `this`).
  bool more = true;
  while (more) more = co_await self->serve_one();
}

asio::awaitable<bool> Session::serve_one() {
  enter(Stage::idle);
  if (context_.draining || aborted_) co_return false;
  forget_request();
  auto outcome = co_await read_head();
  if (outcome == Outcome::ok) outcome = co_await read_body();
  disarm();
  if (outcome == Outcome::closed) co_return false;
  if (outcome == Outcome::refused) {
    context_.refused_total.fetch_add(1, std::memory_order_relaxed);
    head_.keep_alive = false;
    answer_ = make_error(refusal_.status, refusal_.code, refusal_.detail);
  } else {
    dispatch();
    if (!co_await wait_for_answer()) co_return false;
    if (!answer_) answer_ = make_error(500, "internal_error", "The server failed to answer; see its log.");
  }
  if (context_.draining || wants_close(*answer_)) head_.keep_alive = false;
  if (!co_await write_answer()) co_return false;
  if (head_.keep_alive) co_return true;
  co_await linger();
  co_return false;
}

// Not in the coroutine: g++ 12 copies the temporary of `head_ = {}` there bit by bit, strings and all.
void Session::forget_request() {
  head_ = {};
  body_.clear();
  reservation_.reset();
  answered_ = false;
  answer_.reset();
}

asio::awaitable<Session::Outcome> Session::read_head() {
  std::size_t scanned = 0;
  if (in_.empty()) {
    arm(context_.options.idle_timeout);
    if (!co_await read_more()) co_return Outcome::closed;
  }
  enter(Stage::busy);
  id_ = RequestId(random_hex(system_rng(), 8));
  arm(context_.options.header_timeout);
  while (true) {
    auto scan = scan_head(in_, scanned, context_.options.header_bytes_max);
    if (scan.state == HeadState::refused) {
      refusal_ = std::move(scan.refusal);
      co_return Outcome::refused;
    }
    if (scan.state == HeadState::complete) {
      auto head = parse_head(std::string_view(in_).substr(0, scan.length));
      if (!head) {
        refusal_ = std::move(head.error());
        co_return Outcome::refused;
      }
      head_ = std::move(*head);
      in_.erase(0, scan.length);
      received_at_ = system_clock().mono_now();
      co_return Outcome::ok;
    }
    if (!co_await read_more()) co_return on_silence("The headers");
  }
}

asio::awaitable<Session::Outcome> Session::read_body() {
  disarm();
  if (!head_.chunked && head_.content_length == 0) co_return Outcome::ok;
  if (head_.content_length > context_.options.body_bytes_max) {
    co_return refuse(413, "body_too_large",
                     "The body has " + std::to_string(head_.content_length) + " bytes; at most " +
                         std::to_string(context_.options.body_bytes_max) + " are taken.");
  }
  // How long a chunked body gets is not known before its end: room for the largest, given back then. (Growing step by
  // step, several half-read bodies could wait for each other.)
  const auto bytes = head_.chunked ? context_.options.body_bytes_max : head_.content_length;
  if (!co_await admit(bytes)) co_return Outcome::closed;
  if (head_.expects_continue && in_.empty()) {  // not needed when the body comes anyway
    if (!co_await write_continue()) co_return Outcome::closed;
  }
  arm(context_.options.body_timeout);
  if (!head_.chunked) co_return co_await read_sized_body();
  const auto outcome = co_await read_chunked_body();
  std::static_pointer_cast<Reservation>(reservation_)->shrink_to(body_.size());
  co_return outcome;
}

// Waits unread until there is room for the body; false when the client went away.
asio::awaitable<bool> Session::admit(std::uint64_t bytes) {
  if (!context_.budget.try_take(bytes)) {
    MemoryBudget::Waiter waiter{bytes, &wake_};
    context_.budget.wait(waiter);
    watch_peer();
    while (!waiter.granted && !peer_gone_ && !aborted_) {
      error_code cancelled;
      wake_.expires_at(asio::steady_timer::time_point::max());
      co_await wake_.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
    }
    unwatch_peer();
    if (!waiter.granted) {
      context_.budget.give_up(waiter);
      co_return false;
    }
  }
  reservation_ = std::make_shared<Reservation>(context_, bytes);
  co_return true;
}

asio::awaitable<Session::Outcome> Session::read_sized_body() {
  const auto size = static_cast<std::size_t>(head_.content_length);
  const std::size_t first = std::min(in_.size(), size);
  body_.reserve(size);  // costs address space only, until it is received
  body_.assign(in_, 0, first);
  in_.erase(0, first);
  std::ptrdiff_t at_once = 0;
  while (body_.size() < size) {
    if (timed_out_ || aborted_) co_return on_silence("The body");
    const auto length = receive_body(size);
    if (length == 0) co_return on_silence("The body");
    at_once += length > 0 ? length : 0;
    if (body_.size() == size || (length > 0 && at_once < kBodyAtOnceBytes)) continue;
    at_once = 0;  // a fast sender of a large body lets the other connections have their turn
    error_code ec;
    co_await socket_.async_wait(asio::ip::tcp::socket::wait_read, asio::redirect_error(asio::use_awaitable, ec));
    if (ec) co_return on_silence("The body");
  }
  co_return Outcome::ok;
}

// Appends to body_ what has arrived of it. Returns how much; 0 at the connection's end or an error, -1 when there is
// nothing yet. The body grows as it arrives: a client that promises much and sends little costs little.
std::ptrdiff_t Session::receive_body(std::size_t size) {
  const std::size_t before = body_.size(), room = std::min(size - before, kBodyGrowthBytes);
  ssize_t got = 0;
  int error = 0;
  // Not resize(), which would fill with zeros first what is received over at once.
  body_.resize_and_overwrite(before + room, [&](char* bytes, std::size_t) {
    do got = ::recv(socket_.native_handle(), bytes + before, room, MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    error = got < 0 ? errno : 0;
    return before + static_cast<std::size_t>(std::max<ssize_t>(got, 0));
  });
  if (got >= 0) return got;
  return error == EAGAIN || error == EWOULDBLOCK ? -1 : 0;
}

asio::awaitable<Session::Outcome> Session::read_chunked_body() {
  ChunkDecoder decoder(context_.options.body_bytes_max, context_.options.header_bytes_max);
  while (true) {
    const auto taken = decoder.feed(in_, body_);
    if (!taken) co_return refuse(taken.error().status, taken.error().code, taken.error().detail);
    in_.erase(0, *taken);
    if (decoder.done()) co_return Outcome::ok;
    if (!co_await read_more()) co_return on_silence("The body");
  }
}

// Appends what arrives next to in_; false at the end, on an error, and after the time limit.
asio::awaitable<bool> Session::read_more() {
  if (timed_out_ || aborted_) co_return false;
  const auto before = in_.size();
  in_.resize(before + kReadBytes);
  error_code ec;
  const auto target = asio::buffer(in_.data() + before, kReadBytes);
  const auto length = co_await socket_.async_read_some(target, asio::redirect_error(asio::use_awaitable, ec));
  in_.resize(before + (ec ? 0 : length));
  co_return !ec && length > 0;
}

void Session::dispatch() {
  ++serial_;
  context_.requests_total.fetch_add(1, std::memory_order_relaxed);
  Request request{.id = id_,
                  .method = head_.method,
                  .target = std::move(head_.target),
                  .path = std::move(head_.path),
                  .query = std::move(head_.query),
                  .headers = std::move(head_.headers),
                  .body = std::move(body_),
                  .remote = remote_,
                  .received_at = received_at_};
  body_ = {};
  Responder responder(std::make_shared<SessionSink>(context_.io_handle, weak_from_this(), serial_));
  // The task keeps the slot and the reservation: what a client leaves behind in the queue is bounded by them too.
  context_.pool.post([&context = context_, request = std::move(request), responder = std::move(responder), slot = slot_,
                      reservation = std::move(reservation_)]() mutable {
    const RequestId id = request.id;
    try {
      context.handler(std::move(request), std::move(responder));
    } catch (const std::exception& e) {
      log::error("a request handler failed", {{"request", id}, {"error", e.what()}});
    } catch (...) {
      log::error("a request handler failed", {{"request", id}, {"error", "unknown exception"}});
    }
  });
}

void Session::deliver(std::uint64_t serial, std::optional<Response> response) {
  if (serial != serial_ || answered_) return;
  answered_ = true;
  answer_ = std::move(response);
  wake_.cancel();
}

// False when there is nobody left to answer.
asio::awaitable<bool> Session::wait_for_answer() {
  watch_peer();
  while (!answered_ && !peer_gone_ && !aborted_) {
    error_code cancelled;
    wake_.expires_at(asio::steady_timer::time_point::max());
    co_await wake_.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
  }
  unwatch_peer();
  co_return !peer_gone_ && !aborted_;
}

ResponseMessage Session::take_message() {
  Response response = std::move(*answer_);
  answer_.reset();
  if (response.status < 200 || response.status > 599) {
    log::error("a handler answered with an impossible status", {{"status", response.status}, {"request", id_}});
    response = make_error(500, "internal_error", "The server failed to answer; see its log.");
  }
  auto message = to_message(std::move(response), head_.method == "HEAD", id_);
  if (!head_.keep_alive) {
    message.set("Connection", "close");
  } else if (head_.version_minor == 0) {
    message.set("Connection", "keep-alive");
  }
  return message;
}

asio::awaitable<bool> Session::write_answer() {
  auto message = take_message();
  boost::beast::http::response_serializer<boost::beast::http::string_body> serializer(message);
  while (!serializer.is_done()) {
    if (aborted_) co_return false;
    arm(context_.options.write_timeout);  // of each step: the limit is on standing still
    error_code ec;
    co_await boost::beast::http::async_write_some(socket_, serializer, asio::redirect_error(asio::use_awaitable, ec));
    if (ec) co_return false;
  }
  disarm();
  co_return true;
}

asio::awaitable<bool> Session::write_continue() {
  static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
  arm(context_.options.write_timeout);
  error_code ec;
  co_await asio::async_write(socket_, asio::buffer(kContinue), asio::redirect_error(asio::use_awaitable, ec));
  co_return !ec;
}

// Closing with unread bytes makes TCP reset the connection, and the client may lose the answer: so what it still sends
// is read and thrown away for a while (RFC 9112, section 9.6).
asio::awaitable<void> Session::linger() {
  enter(Stage::lingering);
  error_code ignored;
  socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
  arm(context_.draining ? kLingerDraining : kLinger);
  bool more = true;
  while (more) {
    in_.clear();
    more = co_await read_more();
  }
  disarm();
}

Response Session::make_error(int status, const std::string& code, const std::string& detail) const {
  if (context_.options.make_error) return context_.options.make_error(status, code, detail, id_);
  Response plain;
  plain.status = status;
  plain.body = code + ": " + detail + "\n";
  return plain;
}

Session::Outcome Session::refuse(int status, std::string code, std::string detail) {
  refusal_ = {status, std::move(code), std::move(detail)};
  return Outcome::refused;
}

// Nothing more came while `what` was being read: too late (answered), or the connection is at its end.
Session::Outcome Session::on_silence(const char* what) {
  if (!timed_out_) return Outcome::closed;
  return refuse(408, "request_timeout", std::string(what) + " did not arrive in time.");
}

void Session::arm(Millis timeout) {
  timed_out_ = false;
  timer_.expires_after(timeout);
  timer_.async_wait([self = shared_from_this(), armed = ++armed_](error_code cancelled) {
    if (cancelled || armed != self->armed_) return;
    self->timed_out_ = true;
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
// directions, but not a half-close, whose sender still waits for its answer.
void Session::watch_peer() {
  peer_gone_ = false;
  socket_.async_wait(asio::ip::tcp::socket::wait_error,
                     [self = shared_from_this(), watched = ++watched_](error_code cancelled) {
                       if (cancelled || watched != self->watched_) return;
                       pollfd state{self->socket_.native_handle(), 0, 0};
                       // Urgent data ends the wait, too: it is no error, and not waited for again.
                       if (::poll(&state, 1, 0) <= 0 || (state.revents & (POLLERR | POLLHUP)) == 0) return;
                       self->peer_gone_ = true;
                       self->wake_.cancel();
                     });
}

void Session::unwatch_peer() {
  ++watched_;
  error_code ignored;
  socket_.cancel(ignored);
}

void Session::enter(Stage stage) {
  if ((stage_ == Stage::busy) != (stage == Stage::busy)) context_.count_busy(stage == Stage::busy ? 1 : -1);
  stage_ = stage;
}

void Session::drain() {
  error_code ignored;
  if (stage_ == Stage::idle && socket_.available(ignored) == 0) socket_.cancel(ignored);
}

void Session::abort() {
  aborted_ = true;
  error_code ignored;
  socket_.close(ignored);
  timer_.cancel();
  wake_.cancel();
}

}  // namespace imgrec::http
