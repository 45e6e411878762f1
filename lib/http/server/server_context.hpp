// What the sessions of one server share. Private to lib/http.
//
// One thread does all I/O: everything here but what is said to be thread-safe is touched by that thread only, so
// sessions need no locks. It never blocks; what may block runs on the pool.
#pragma once

#include "lib/http/server/asio.hpp"
// Asio first (see there).
#include <atomic>
#include <condition_variable>
#include <list>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "lib/http/server/server.hpp"
#include "lib/http/server/work_pool.hpp"

namespace imgrec::http {

namespace asio = boost::asio;

class Session;

/// The way of an answer to its session from any thread, and at any time: also after the server is gone.
class IoHandle {
 public:
  explicit IoHandle(asio::io_context& io) : io_(&io) {}
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

/// The bytes of request bodies in memory. First come, first served, so that a large one is not passed over for ever.
/// One that is alone is always admitted; so is what fits.
class MemoryBudget {
 public:
  struct Waiter {
    std::uint64_t bytes = 0;
    asio::steady_timer* wake = nullptr;
    bool granted = false;
  };
  explicit MemoryBudget(std::uint64_t bytes_max) : bytes_max_(bytes_max) {}
  bool try_take(std::uint64_t bytes);
  void wait(Waiter& waiter) { waiters_.push_back(&waiter); }
  void give_up(Waiter& waiter) {
    waiters_.remove(&waiter);
    grant();
  }
  void release(std::uint64_t bytes);
  std::uint64_t used() const { return used_.load(std::memory_order_relaxed); }  // thread-safe

 private:
  bool fits(std::uint64_t bytes) const { return used_ == 0 || (used_ <= bytes_max_ && bytes <= bytes_max_ - used_); }
  void grant();

  const std::uint64_t bytes_max_;
  std::atomic<std::uint64_t> used_ = 0;
  std::list<Waiter*> waiters_;
};

struct ServerContext {
  ServerContext(ServerOptions options, RequestHandler handler);

  const ServerOptions options;
  const RequestHandler handler;
  asio::io_context io{1};
  std::shared_ptr<IoHandle> io_handle;
  WorkPool pool;
  MemoryBudget budget;
  asio::ip::tcp::acceptor acceptor;
  asio::steady_timer accept_wake;  // a slot is free again
  int slots_used = 0;
  bool draining = false;
  std::unordered_map<Session*, std::weak_ptr<Session>> sessions;

  // For drain(), which waits on another thread.
  std::mutex mutex;
  std::condition_variable changed;
  bool closed_to_new = false;
  std::uint64_t sessions_open = 0;
  std::uint64_t sessions_busy = 0;  // with a request that is not answered yet

  std::atomic<std::uint64_t> connections_total = 0, requests_total = 0, refused_total = 0;

  /// A connection's place, released (from any thread) when its session and its handler have both let it go.
  std::shared_ptr<void> take_slot();
  void count_open(int change);
  void count_busy(int change);
};

}  // namespace imgrec::http
