// One connection: reads a request, hands it on, waits for its answer, writes it, and again. Private to lib/http.
#pragma once

#include "lib/http/server/server_context.hpp"
// Asio first (see there).
#include "lib/http/server/response_message.hpp"
#include "lib/http/server/stream_buffer.hpp"
#include "lib/http/server/tls_stream.hpp"
#include "lib/http/syntax/request_head.hpp"

namespace imgrec::http {

/// Lives on the I/O thread. run() owns it; others hold it weakly. session.cpp has its flow, session_read.cpp how a
/// request is read, session_write.cpp how it is answered, session_transfer.cpp how bytes come and go.
class Session : public std::enable_shared_from_this<Session> {
 public:
  /// on_reserve: beyond connections_max.
  Session(ServerContext& context, asio::ip::tcp::socket socket, bool on_reserve);
  /// Spawns run(); returns at once.
  static void start(std::shared_ptr<Session> session);

  /// Closes when idle, else after the answer in progress; tells a stream to end.
  void drain();
  /// Closes now.
  void abort();

  // From the Responder. `serial` is the request's number: what comes too late, for an earlier one, is ignored.
  /// Nothing: the Responder was dropped.
  void deliver(std::uint64_t serial, std::optional<Response> response);
  void deliver_stream(std::uint64_t serial, Response head, std::shared_ptr<StreamBuffer> stream,
                      StreamCallbacks callbacks);
  void watch_client(std::uint64_t serial, IoCallback callback, ClientEof eof);
  /// The stream has bytes, or has ended.
  void stream_changed() { wake_.cancel(); }

  bool has_unread_bytes();
  // An upload's progress since mark_progress(); nothing when it holds no memory that others could use, waits for memory
  // itself, or began later.
  void mark_progress() { marked_bytes_ = body_.size(); }
  std::optional<std::uint64_t> progress() const;
  /// In its last rate window it arrived so slowly that what it holds would have taken longer than body_timeout.
  bool is_slow() const { return is_slow_; }
  void end_upload();

 private:
  enum class Stage { idle, busy, lingering };
  enum class Outcome { ok, closed, refused, answered };
  class UploadEntry;

  static asio::awaitable<void> run(std::shared_ptr<Session> self);
  asio::awaitable<bool> shake_hands();
  asio::awaitable<bool> serve_one();  // true: another request may follow
  asio::awaitable<bool> answer_internal_error();
  void answer_refusal();
  void drop_body();

  // session_transfer.cpp: bytes in and out, be it with TLS or without.
  asio::awaitable<boost::system::error_code> wait_readable();
  asio::awaitable<boost::system::error_code> wait_writable();
  bool has_decrypted_bytes() const { return tls_ && tls_->has_unread(); }
  asio::awaitable<bool> read_more();
  std::ptrdiff_t receive(std::string& into, std::size_t bytes_max);
  std::ptrdiff_t send_now(std::string_view bytes);
  asio::awaitable<bool> write_text(std::string text);
  void send_end();

  // session_read.cpp
  asio::awaitable<Outcome> read_request();
  asio::awaitable<Outcome> read_head();
  asio::awaitable<Outcome> read_body();
  asio::awaitable<Outcome> read_sized_body();
  asio::awaitable<Outcome> read_chunked_body();
  asio::awaitable<Outcome> reserve(std::uint64_t bytes);
  asio::awaitable<Outcome> wait_for_body();
  std::size_t next_reservation(std::size_t size) const;
  void take_head(RequestHead head);
  Outcome check_head();
  Outcome decide();
  void plan_skipping_the_body();
  void arm_body();
  Outcome on_body_time();
  Outcome refuse(int status, std::string code, std::string detail);
  Outcome on_silence(const char* what);

  // session_write.cpp
  asio::awaitable<bool> write_answer();
  asio::awaitable<bool> write_stream();
  asio::awaitable<bool> write_pieces(bool chunked);
  asio::awaitable<bool> write_continue();
  asio::awaitable<bool> skip_rest_of_body();
  asio::awaitable<void> linger();
  ResponseMessage to_answer(Response response);

  asio::awaitable<bool> wait_for_answer();
  asio::awaitable<void> wait_for_wake();
  void forget_request();
  void dispatch();
  void tell_drain();
  void tell_client_gone();
  void end();
  Response make_error(int status, const std::string& code, const std::string& detail) const;

  void arm(Millis timeout);
  void disarm();
  void watch_peer();
  void watch_eof();
  void unwatch_peer();
  void peer_left();
  void enter(Stage stage);
  void set_silent(bool silent);

  ServerContext& context_;
  asio::ip::tcp::socket socket_;
  std::unique_ptr<TlsStream> tls_;  // null without TLS
  asio::steady_timer timer_;        // the time limit of the present step
  asio::steady_timer wake_;         // cancelled when something waited for has happened
  std::string remote_;
  bool on_reserve_;
  bool counted_ = true;  // in context_.connections
  std::optional<std::list<Session*>::iterator> silent_place_;
  Stage stage_ = Stage::idle;
  std::uint64_t armed_ = 0;  // a timer or watch of an earlier step must not act on a later one
  std::uint64_t watched_ = 0;
  bool watching_peer_ = false;
  bool watching_eof_ = false;
  bool timed_out_ = false;
  bool peer_gone_ = false;
  bool aborted_ = false;
  bool ended_ = false;

  std::string in_;  // received and not used yet
  // The request in progress.
  RequestId id_;
  Request request_;
  struct Framing {
    int version_minor = 1;
    bool chunked = false, expects_continue = false, keep_alive = true, is_head = false;
    std::uint64_t content_length = 0;
  };
  Framing framing_;
  std::string body_;
  std::shared_ptr<Reservation> reservation_;
  MonoTime body_deadline_{};
  std::size_t window_bytes_ = 0;  // of the body, at the begin of the present rate window
  MonoTime window_begin_{};
  std::optional<std::size_t> marked_bytes_;
  bool is_slow_ = false;
  bool waits_for_memory_ = false;
  bool upload_ended_ = false;             // for others
  std::uint64_t body_bytes_to_skip_ = 0;  // after an early answer
  Refusal refusal_;
  std::uint64_t serial_ = 0;
  // Its answer.
  bool answered_ = false;
  bool answer_begun_ = false;  // bytes of it may have been sent
  std::optional<Response> answer_;
  std::shared_ptr<StreamBuffer> stream_;
  StreamCallbacks stream_callbacks_;
  IoCallback on_client_gone_;
  ClientEof eof_ = ClientEof::ignored;
};

}  // namespace imgrec::http
