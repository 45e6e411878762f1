// One connection: reads a request, hands it on, waits for its answer, writes it, and again. Private to lib/http.
#pragma once

#include "lib/http/server/server_context.hpp"
// Asio first (see there).
#include "lib/http/server/response_message.hpp"
#include "lib/http/syntax/request_head.hpp"

namespace imgrec::http {

/// Lives on the I/O thread. run() owns it; others hold it weakly.
class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(ServerContext& context, asio::ip::tcp::socket socket);
  /// Spawns run(); returns at once.
  static void start(std::shared_ptr<Session> session);

  /// Closes when idle, else after the answer in progress.
  void drain();
  /// Closes now.
  void abort();
  /// The answer to request number `serial`; nothing: the Responder was dropped.
  void deliver(std::uint64_t serial, std::optional<Response> response);

 private:
  enum class Stage { idle, busy, lingering };
  enum class Outcome { ok, closed, refused };

  static asio::awaitable<void> run(std::shared_ptr<Session> self);
  asio::awaitable<bool> serve_one();  // true: another request may follow
  asio::awaitable<Outcome> read_head();
  asio::awaitable<bool> admit(std::uint64_t bytes);
  asio::awaitable<Outcome> read_body();
  asio::awaitable<Outcome> read_sized_body();
  asio::awaitable<Outcome> read_chunked_body();
  asio::awaitable<bool> read_more();
  asio::awaitable<bool> wait_for_answer();
  asio::awaitable<bool> write_answer();
  asio::awaitable<bool> write_continue();
  asio::awaitable<void> linger();

  std::ptrdiff_t receive_body(std::size_t size);
  void forget_request();
  void dispatch();
  ResponseMessage take_message();
  Response make_error(int status, const std::string& code, const std::string& detail) const;
  Outcome refuse(int status, std::string code, std::string detail);
  Outcome on_silence(const char* what);

  void arm(Millis timeout);
  void disarm();
  void watch_peer();
  void unwatch_peer();
  void enter(Stage stage);

  ServerContext& context_;
  asio::ip::tcp::socket socket_;
  asio::steady_timer timer_;  // the time limit of the present step
  asio::steady_timer wake_;   // cancelled when something waited for has happened
  std::shared_ptr<void> slot_;
  std::string remote_;
  Stage stage_ = Stage::idle;
  std::uint64_t armed_ = 0;  // a timer or watch of an earlier step must not act on a later one
  std::uint64_t watched_ = 0;
  bool timed_out_ = false;
  bool peer_gone_ = false;
  bool aborted_ = false;

  std::string in_;  // received and not used yet
  // The request in progress.
  RequestId id_;
  RequestHead head_;
  std::string body_;
  MonoTime received_at_{};
  std::shared_ptr<void> reservation_;
  Refusal refusal_;
  std::uint64_t serial_ = 0;
  bool answered_ = false;
  std::optional<Response> answer_;
};

}  // namespace imgrec::http
