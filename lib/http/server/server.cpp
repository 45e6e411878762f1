#include "lib/http/server/server_context.hpp"
#include "lib/http/server/session.hpp"
// Asio first (see lib/http/server/asio.hpp).
#include <netinet/tcp.h>

#include <algorithm>
#include <thread>

#include "lib/base/open_files.hpp"

namespace imgrec {
namespace {

using boost::system::error_code;
using http::ServerContext;
using http::Session;
namespace asio = boost::asio;

constexpr Millis kAcceptPause{100};

/// Open at the same time as connections: queues, objects, logs, pipes to workers.
constexpr std::uint64_t kOtherFiles = 128;

// What accept(2) would refuse for lack of file descriptors is no place for a connection.
ServerOptions within_open_files(ServerOptions options) {
  const std::uint64_t files = open_files_limit();
  const auto wanted = static_cast<std::uint64_t>(options.connections_max) +
                      static_cast<std::uint64_t>(options.connections_reserve) + kOtherFiles;
  if (wanted <= files) return options;
  // Less than wanted, so it is an int; two at least, however few files there are.
  const int room = static_cast<int>(files > kOtherFiles + 2 ? files - kOtherFiles : 2);
  options.connections_reserve = std::min(options.connections_reserve, std::max(room / 8, 1));
  options.connections_max = std::min(options.connections_max, room - options.connections_reserve);
  log::warning("this process may not open enough files for the connections that are set: fewer are taken",
               {{"open_files_limit", files},
                {"connections_max", options.connections_max},
                {"fix", "raise the hard limit (ulimit -Hn; LimitNOFILE= of a systemd unit) to at least " +
                            std::to_string(wanted) + ", or set web.connections_max lower"}});
  return options;
}

// Finds out about clients that vanished: after 30 idle seconds a probe every 10, and three unanswered are the end.
void set_socket_options(asio::ip::tcp::socket& socket) {
  error_code ignored;
  socket.set_option(asio::ip::tcp::no_delay(true), ignored);
  socket.set_option(asio::socket_base::keep_alive(true), ignored);
  for (const auto& [option, value] : {std::pair{TCP_KEEPIDLE, 30}, {TCP_KEEPINTVL, 10}, {TCP_KEEPCNT, 3}}) {
    ::setsockopt(socket.native_handle(), IPPROTO_TCP, option, &value, sizeof value);
  }
}

// Nobody can be told to wait: a connection that finds no place is closed.
void place(ServerContext& context, asio::ip::tcp::socket socket) {
  const int connections_max = context.options.connections_max;
  if (context.connections >= connections_max) context.evict_silent();
  if (context.connections >= connections_max + context.options.connections_reserve) {
    context.connections_refused_total.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  set_socket_options(socket);
  const bool on_reserve = context.connections >= connections_max;
  Session::start(std::make_shared<Session>(context, std::move(socket), on_reserve));
}

// Returns false when it failed, and a pause is due.
asio::awaitable<bool> accept_one(ServerContext& context) {
  error_code failure;
  auto socket = co_await context.acceptor.async_accept(asio::redirect_error(asio::use_awaitable, failure));
  if (context.draining || failure == asio::error::connection_aborted) co_return true;
  if (!failure) co_return run_guarded(context, "accepting a connection", [&] { place(context, std::move(socket)); });
  // No file descriptors or memory left, most likely: those of a silent connection help, or those in use come back.
  context.failures.write("accepting a connection", failure.message());
  co_return context.evict_silent();
}

asio::awaitable<void> accept_loop(ServerContext& context) {
  while (!context.draining) {
    bool accepted = false;
    try {
      accepted = co_await accept_one(context);
    } catch (const std::exception& e) {
      context.failures.write("accepting a connection", e.what());
    }
    if (accepted) continue;
    error_code cancelled;
    context.accept_pause.expires_after(kAcceptPause);
    co_await context.accept_pause.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
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

// The I/O thread. What anything on it throws must not take the rest down.
void run_io(ServerContext& context) {
  while (!run_guarded(context, "I/O thread", [&] { context.io.run(); })) {
  }
}

}  // namespace

struct Server::Impl {
  Impl(ServerOptions options, RequestHandler handler)
      : context(within_open_files(std::move(options)), std::move(handler)) {}

  // On the I/O thread.
  void close_to_new() {
    context.draining = true;
    error_code ignored;
    context.acceptor.close(ignored);
    context.accept_pause.cancel();
    std::lock_guard lock(context.mutex);
    context.closed_to_new = true;
    context.changed.notify_all();
  }

  void abort_all() {
    context.stop_watching_uploads();
    each_session([](Session& session) { session.abort(); });
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
  if (!impl_->io_thread.joinable()) {
    impl_->context.io_thread->close();
    return;
  }
  asio::post(impl_->context.io, [impl = impl_.get()] {
    impl->close_to_new();
    impl->abort_all();
  });
  // The loop is not stopped: it ends by itself when the last session has ended.
  impl_->work.reset();
  impl_->io_thread.join();
  impl_->context.io_thread->close();
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
  asio::co_spawn(context.io, accept_loop(context), [](std::exception_ptr failure) {
    if (failure) std::rethrow_exception(failure);  // to run_io, which logs it
  });
  impl_->io_thread = std::thread([&context] { run_io(context); });
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
  asio::post(context.io, [impl = impl_.get()] { impl->abort_all(); });
  lock.lock();
  context.changed.wait(lock, [&] { return context.sessions_open == 0; });
  return all_answered;
}

ServerStats Server::stats() const {
  auto& context = impl_->context;
  ServerStats stats;
  stats.connections_max = context.options.connections_max;
  stats.connections_total = context.connections_total;
  stats.requests_total = context.requests_total;
  stats.refused_total = context.refused_total;
  stats.connections_evicted_total = context.evicted_total;
  stats.connections_refused_total = context.connections_refused_total;
  stats.uploads_ended_total = context.uploads_ended_total;
  stats.handshakes_failed_total = context.handshakes_failed_total;
  stats.body_bytes_buffered = context.budget->used();
  std::lock_guard lock(context.mutex);
  stats.connections_open = context.sessions_open;
  return stats;
}

}  // namespace imgrec
