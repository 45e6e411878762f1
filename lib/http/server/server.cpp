#include "lib/http/server/server_context.hpp"
#include "lib/http/server/session.hpp"
// Asio first (see lib/http/server/asio.hpp).
#include <netinet/tcp.h>

#include <thread>

#include "lib/base/log.hpp"

namespace imgrec {
namespace {

using boost::system::error_code;
using http::ServerContext;
using http::Session;
namespace asio = boost::asio;

// Finds out about clients that vanished: after 30 idle seconds a probe every 10, and three unanswered are the end.
void set_socket_options(asio::ip::tcp::socket& socket) {
  error_code ignored;
  socket.set_option(asio::ip::tcp::no_delay(true), ignored);
  socket.set_option(asio::socket_base::keep_alive(true), ignored);
  for (const auto& [option, value] : {std::pair{TCP_KEEPIDLE, 30}, {TCP_KEEPINTVL, 10}, {TCP_KEEPCNT, 3}}) {
    ::setsockopt(socket.native_handle(), IPPROTO_TCP, option, &value, sizeof value);
  }
}

asio::awaitable<void> sleep(asio::steady_timer& timer, asio::steady_timer::duration duration) {
  error_code cancelled;
  timer.expires_after(duration);
  co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
}

asio::awaitable<void> accept_loop(ServerContext& context) {
  while (!context.draining) {
    if (context.slots_used >= context.options.connections_max) {
      co_await sleep(context.accept_wake, std::chrono::hours(1));  // a freed slot wakes it
      continue;
    }
    error_code failure;
    auto socket = co_await context.acceptor.async_accept(asio::redirect_error(asio::use_awaitable, failure));
    if (context.draining) break;
    if (failure == asio::error::connection_aborted) continue;
    if (failure) {  // no file descriptors or memory left, most likely: those in use come back
      log::warning("cannot accept a connection", {{"error", failure.message()}});
      co_await sleep(context.accept_wake, Millis(100));
      continue;
    }
    set_socket_options(socket);
    Session::start(std::make_shared<Session>(context, std::move(socket)));
  }
}

std::unexpected<Error> cannot_listen(const ServerOptions& options, const error_code& failure) {
  const std::string place = options.bind + ":" + std::to_string(options.port);
  const std::string begin = "Cannot listen on " + place + ": ";
  if (failure == asio::error::address_in_use) {
    return fail(ErrorKind::denied, "cannot_listen",
                begin +
                    "another program (another imgrec?) holds this port; `ss -ltnp` names it. Stop it, or choose "
                    "another port with --port (0: any free one).");
  }
  if (failure == asio::error::access_denied) {
    return fail(ErrorKind::denied, "cannot_listen",
                begin +
                    "ports below 1024 need root or CAP_NET_BIND_SERVICE. Choose another port with --port, for "
                    "example 8000.");
  }
  return fail(ErrorKind::invalid, "cannot_listen",
              begin + failure.message() +
                  ". Is --bind an address of this machine (127.0.0.1, 0.0.0.0, ::), and --port "
                  "between 0 and 65535?");
}

error_code listen(asio::ip::tcp::acceptor& acceptor, const ServerOptions& options) {
  error_code failure;
  asio::ip::tcp::resolver resolver(acceptor.get_executor());
  const auto found =
      resolver.resolve(options.bind, std::to_string(options.port),
                       asio::ip::resolver_base::passive | asio::ip::resolver_base::numeric_service, failure);
  if (failure) return failure;
  const auto endpoint = found.begin()->endpoint();
  if (acceptor.open(endpoint.protocol(), failure); failure) return failure;
  if (acceptor.set_option(asio::socket_base::reuse_address(true), failure); failure) return failure;
  if (acceptor.bind(endpoint, failure); failure) return failure;
  acceptor.listen(asio::socket_base::max_listen_connections, failure);
  return failure;
}

// The I/O thread. What a handler of Asio throws must not take the others down.
void run_io(asio::io_context& io) {
  while (true) {
    try {
      io.run();
      return;
    } catch (const std::exception& e) {
      log::error("internal error in the HTTP server", {{"error", e.what()}});
    }
  }
}

template <class Pairs>
std::optional<std::string_view> first_value(const Pairs& pairs, std::string_view name) {
  for (const auto& [key, value] : pairs) {
    if (key == name) return value;
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string_view> Request::header(std::string_view name) const {
  return first_value(headers, name);
}
std::optional<std::string_view> Request::query_value(std::string_view name) const {
  return first_value(query, name);
}

Responder::Responder(std::shared_ptr<Sink> sink) : sink_(std::move(sink)) {}
Responder::Responder(Responder&&) noexcept = default;
Responder& Responder::operator=(Responder&& other) noexcept {
  if (this == &other) return *this;
  if (sink_) sink_->abandon();
  sink_ = std::move(other.sink_);
  return *this;
}
Responder::~Responder() {
  if (sink_) sink_->abandon();
}
bool Responder::send(Response response) {
  return sink_ && sink_->send(std::move(response));
}

struct Server::Impl {
  Impl(ServerOptions options, RequestHandler handler) : context(std::move(options), std::move(handler)) {}

  // On the I/O thread.
  void close_to_new() {
    context.draining = true;
    error_code ignored;
    context.acceptor.close(ignored);
    context.accept_wake.cancel();
    std::lock_guard lock(context.mutex);
    context.closed_to_new = true;
    context.changed.notify_all();
  }

  template <class Function>
  void each_session(Function function) {
    for (const auto& [key, weak] : context.sessions) {
      if (const auto session = weak.lock()) function(*session);
    }
  }

  ServerContext context;
  std::optional<asio::executor_work_guard<asio::io_context::executor_type>> work;
  std::thread io_thread;
};

Server::Server(ServerOptions options, RequestHandler handler)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(handler))) {}

Server::~Server() {
  if (!impl_->io_thread.joinable()) return;
  asio::post(impl_->context.io, [impl = impl_.get()] {
    impl->close_to_new();
    impl->each_session([](Session& session) { session.abort(); });
  });
  impl_->context.pool.stop();
  // The loop is not stopped: it ends by itself when the last session has ended.
  impl_->work.reset();
  impl_->io_thread.join();
  impl_->context.io_handle->close();
}

Result<int> Server::start() {
  auto& context = impl_->context;
  if (impl_->io_thread.joinable()) return fail(ErrorKind::bug, "started_twice", "The server runs already.");
  if (context.options.port < 0 || context.options.port > 65535) {
    return cannot_listen(context.options, asio::error::invalid_argument);
  }
  if (const auto failure = listen(context.acceptor, context.options)) {
    error_code ignored;
    context.acceptor.close(ignored);
    return cannot_listen(context.options, failure);
  }
  const int port = context.acceptor.local_endpoint().port();
  impl_->work.emplace(context.io.get_executor());
  context.pool.start(context.options.blocking_threads);
  asio::co_spawn(context.io, accept_loop(context), [](std::exception_ptr failure) {
    if (failure) std::rethrow_exception(failure);  // to run_io, which logs it
  });
  impl_->io_thread = std::thread([&io = context.io] { run_io(io); });
  return port;
}

bool Server::drain(Millis timeout) {
  if (!impl_->io_thread.joinable()) return true;
  auto& context = impl_->context;
  asio::post(context.io, [impl = impl_.get()] {
    impl->close_to_new();
    impl->each_session([](Session& session) { session.drain(); });
  });
  std::unique_lock lock(context.mutex);
  context.changed.wait_for(lock, timeout, [&] { return context.closed_to_new && context.sessions_open == 0; });
  const bool all_answered = context.closed_to_new && context.sessions_busy == 0;
  lock.unlock();
  asio::post(context.io, [impl = impl_.get()] { impl->each_session([](Session& session) { session.abort(); }); });
  lock.lock();
  context.changed.wait(lock, [&] { return context.sessions_open == 0; });
  return all_answered;
}

ServerStats Server::stats() const {
  auto& context = impl_->context;
  ServerStats stats;
  stats.connections_total = context.connections_total;
  stats.requests_total = context.requests_total;
  stats.refused_total = context.refused_total;
  stats.body_bytes_buffered = context.budget.used();
  std::lock_guard lock(context.mutex);
  stats.connections_open = context.sessions_open;
  return stats;
}

}  // namespace imgrec
