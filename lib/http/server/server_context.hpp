// What the sessions of one server share. Private to lib/http.
//
// One thread does all I/O: everything here but what is said to be thread-safe is touched by that thread only, so
// sessions need no locks. It never blocks.
#pragma once

#include "lib/http/server/asio.hpp"
// Asio first (see there).
#include <atomic>
#include <condition_variable>
#include <list>
#include <memory>
#include <mutex>
#include <set>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "lib/base/log.hpp"
#include "lib/http/server/memory_budget.hpp"
#include "lib/http/server/server.hpp"

namespace imgrec::http {

namespace asio = boost::asio;

class Session;

/// Runs functions on the I/O thread. Thread-safe; may outlive the server, and then drops them.
class IoThread {
 public:
  explicit IoThread(asio::io_context& io) : io_(&io) {}
  template <class Function>
  void post(Function function) {
    std::lock_guard lock(mutex_);
    if (io_ != nullptr) asio::post(*io_, std::move(function));
  }
  void close() {
    std::lock_guard lock(mutex_);
    io_ = nullptr;
  }

 private:
  std::mutex mutex_;
  asio::io_context* io_;
};

/// Logs the first failure of each kind as an error, and those like it only for who debugs: what a client can bring
/// about again and again must not fill the log. It remembers a bounded number of kinds.
class FailureLog {
 public:
  void write(std::string_view where, std::string_view what);

 private:
  std::set<std::string, std::less<>> seen_;
};

struct ServerContext {
  ServerContext(ServerOptions options, RequestHandler handler);

  const ServerOptions options;
  const RequestHandler handler;
  asio::io_context io{1};
  const std::shared_ptr<IoThread> io_thread;
  const std::shared_ptr<MemoryBudget> budget;
  asio::ip::tcp::acceptor acceptor;
  asio::steady_timer accept_pause;  // after accepting failed
  bool draining = false;
  FailureLog failures;

  std::unordered_map<Session*, std::weak_ptr<Session>> sessions;
  int connections = 0;  // open ones; a closed one's session may live a little longer
  /// The connections on which nothing is in progress, the longest-silent first.
  std::list<Session*> silent;
  /// Whose body is being read.
  std::unordered_set<Session*> uploads;

  // For drain(), which waits on another thread.
  std::mutex mutex;
  std::condition_variable changed;
  bool closed_to_new = false;
  std::uint64_t sessions_open = 0;
  std::uint64_t sessions_busy = 0;  // with a request that is not answered yet

  std::atomic<std::uint64_t> connections_total = 0, requests_total = 0, refused_total = 0;
  std::atomic<std::uint64_t> evicted_total = 0, connections_refused_total = 0, uploads_ended_total = 0;
  std::atomic<std::uint64_t> handshakes_failed_total = 0;

  void count_open(int change);
  void count_busy(int change);
  /// Closes the longest-silent connection; returns false when there is none.
  bool evict_silent();
  /// An upload begins to wait for memory: from now on, while any does, the slowest is ended when none gets on.
  void watch_uploads();
  /// It need not be waited for as long as for the others.
  void upload_became_slow();
  /// When a client that finds no memory should come again: one place is made every memory_wait_max.
  Seconds memory_retry_after() const;
  /// For good.
  void stop_watching_uploads();

 private:
  void begin_watch();
  Session* slowest_upload() const;

  asio::steady_timer watch_timer_;
  bool watching_ = false, watching_stopped_ = false;
};

/// Runs what the server's user gave it. Returns false when it threw, which is logged.
template <class Function>
bool run_guarded(ServerContext& context, std::string_view where, Function&& function) {
  try {
    function();
    return true;
  } catch (const std::exception& e) {
    context.failures.write(where, e.what());
  } catch (...) {
    context.failures.write(where, "unknown exception");
  }
  return false;
}

}  // namespace imgrec::http
