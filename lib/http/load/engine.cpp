#include "lib/http/load/engine.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <deque>
#include <utility>

#include "lib/http/load/addresses.hpp"
#include "lib/http/load/connection.hpp"

namespace imgrec::load {
namespace {

constexpr int kEventsMax = 256;
constexpr std::size_t kReadBytes = 64 * kKiB;
constexpr Millis kTimeoutsEvery{100};
// Servers close connections that were idle for some seconds, 5 at the least of those in wide use. A request that meets
// the end of its connection would count as an error of the service.
constexpr Millis kIdleMax{4'000};

class EpollEngine final : public Engine {
 public:
  struct Parts {
    Target target;
    Address address;
    std::shared_ptr<TlsContext> tls;  // null: without
  };
  EpollEngine(Parts parts, EngineOptions options, Clock& clock)
      : parts_(std::move(parts)), options_(std::move(options)), clock_(clock), now_(clock.mono_now()) {
    epoll_event event{.events = EPOLLIN, .data = {.ptr = nullptr}};
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, waker_.get(), &event);
  }

  bool is_open() const { return epoll_.ok() && waker_.ok(); }
  void send(Exchange exchange) override;
  void work(MonoTime until, const OnEnd& on_end) override;
  void wake() override {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(waker_.get(), &one, sizeof one);
  }
  std::size_t under_way() const override { return under_way_; }
  std::uint64_t connections_opened() const override { return opened_; }

 private:
  struct Waiting {
    Exchange exchange;
    MonoTime since;
  };
  struct Failed {
    std::uint64_t tag;
    Error error;
  };

  void start(Exchange exchange, MonoTime since);
  void open(Exchange exchange, MonoTime since);
  void work_on(Connection& connection, std::uint32_t events, const OnEnd& on_end);
  void receive_more(Connection& connection, std::uint32_t events, const OnEnd& on_end);
  bool send_more(Connection& connection);
  void complete(Connection& connection, bool reusable, const OnEnd& on_end);
  void break_off(Connection& connection, const Error& error, const OnEnd& on_end);
  void close(Connection& connection);
  void start_next();
  void end_late_ones(const OnEnd& on_end);
  void report_failed(const OnEnd& on_end);
  int wait(MonoTime until);

  const Parts parts_;
  const EngineOptions options_;
  Clock& clock_;
  MonoTime now_;
  Fd epoll_{::epoll_create1(EPOLL_CLOEXEC)}, waker_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<Connection*> idle_;  // the last used at the end
  std::deque<Waiting> waiting_;
  std::vector<Failed> failed_;  // before they had a connection
  std::unique_ptr<ResponseReader> spare_{std::make_unique<ResponseReader>(options_.response_bytes_max)};
  std::array<epoll_event, kEventsMax> events_{};
  std::vector<char> buffer_ = std::vector<char>(kReadBytes);
  std::size_t under_way_ = 0;
  std::uint64_t opened_ = 0;
  std::vector<std::unique_ptr<Connection>> dead_;  // closed in this round
  MonoTime timeouts_at_{};
};

void EpollEngine::send(Exchange exchange) {
  ++under_way_;
  start(std::move(exchange), clock_.mono_now());
}

void EpollEngine::start(Exchange exchange, MonoTime since) {
  // The last used is the first to be used again; when it is too old, so are all.
  if (!idle_.empty() && since - idle_.back()->idle_since > kIdleMax) {
    for (Connection* connection : std::exchange(idle_, {})) close(*connection);
  }
  if (!idle_.empty()) {
    Connection& connection = *idle_.back();
    idle_.pop_back();
    connection.begin(std::move(exchange), since);
    // A connection that breaks here says so with an event.
    (void)send_more(connection);
  } else if (connections_.size() < options_.connections_max) {
    open(std::move(exchange), since);
  } else {
    waiting_.push_back({std::move(exchange), since});
  }
}

void EpollEngine::open(Exchange exchange, MonoTime since) {
  const auto give_up = [&](const char* what) {
    failed_.push_back({exchange.tag,
                       {ErrorKind::transient, "connect_failed",
                        std::string("No connection: ") + what + ": " + std::strerror(errno) + "."}});
  };
  Fd socket(::socket(parts_.address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.ok()) return give_up("socket");
  const int on = 1;
  ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (::connect(socket.get(), parts_.address.get(), parts_.address.length) != 0 && errno != EINPROGRESS)
    return give_up("connect");
  auto connection = std::make_unique<Connection>(std::move(socket), options_.response_bytes_max);
  if (parts_.tls != nullptr) {
    connection->tls = std::make_unique<TlsChannel>(*parts_.tls, connection->socket.get(), parts_.target);
  }
  // Edge-triggered: registered once, for the connection's whole life.
  epoll_event event{.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data = {.ptr = connection.get()}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, connection->socket.get(), &event) != 0) return give_up("epoll_ctl");
  connection->begin(std::move(exchange), since);
  connections_.push_back(std::move(connection));
  ++opened_;
}

bool EpollEngine::send_more(Connection& connection) {
  if (!connection.sent_at) connection.sent_at = clock_.mono_now();
  return connection.send_more();
}

void EpollEngine::work_on(Connection& connection, std::uint32_t events, const OnEnd& on_end) {
  if (!connection.is_connected) {
    int problem = 0;
    socklen_t size = sizeof problem;
    ::getsockopt(connection.socket.get(), SOL_SOCKET, SO_ERROR, &problem, &size);
    if (problem != 0) {
      return break_off(
          connection,
          {ErrorKind::transient, "connect_failed", std::string("No connection: ") + std::strerror(problem) + "."},
          on_end);
    }
    if ((events & EPOLLOUT) == 0) return;
    connection.is_connected = true;
  }
  if (connection.exchange && !connection.is_sent() && !send_more(connection)) {
    // The server may have answered before it closed.
    if ((events & EPOLLIN) == 0) return break_off(connection, connection.error(), on_end);
  }
  if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) receive_more(connection, events, on_end);
}

void EpollEngine::receive_more(Connection& connection, std::uint32_t events, const OnEnd& on_end) {
  const bool is_ending = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
  for (;;) {
    const Moved got = connection.receive(buffer_.data(), buffer_.size());
    if (!connection.exchange) {  // an idle connection has nothing to say but its end
      if (got.over || got.bytes > 0 || is_ending) close(connection);
      return;
    }
    if (got.over) {
      const auto complete_now = connection.reader->close();
      if (got.closed_orderly && complete_now) return complete(connection, false, on_end);
      return break_off(connection, got.closed_orderly ? complete_now.error() : connection.error(), on_end);
    }
    if (got.bytes == 0) return;
    const auto is_complete = connection.reader->feed({buffer_.data(), got.bytes});
    if (!is_complete) return break_off(connection, is_complete.error(), on_end);
    if (*is_complete) return complete(connection, !is_ending, on_end);
    // Less than was asked for: nothing is left, unless the end is, which needs a read of its own.
    if (!connection.may_have_more(got, buffer_.size()) && !is_ending) return;
  }
}

// The connection is free before the end is reported, so that on_end may use it again.
void EpollEngine::complete(Connection& connection, bool reusable, const OnEnd& on_end) {
  std::swap(connection.reader, spare_);
  connection.reader->reset();
  const Response response = spare_->response();
  const ExchangeEnd end{.tag = connection.exchange->tag,
                        .sent_at = *connection.sent_at,
                        .ended_at = clock_.mono_now(),
                        .response = &response};
  connection.exchange.reset();
  if (reusable && connection.is_sent() && spare_->keeps_alive()) {
    connection.idle_since = end.ended_at;
    idle_.push_back(&connection);
  } else {
    close(connection);
  }
  --under_way_;
  start_next();
  on_end(end);
}

void EpollEngine::break_off(Connection& connection, const Error& error, const OnEnd& on_end) {
  const MonoTime now = clock_.mono_now();
  const ExchangeEnd end{.tag = connection.exchange ? connection.exchange->tag : 0,
                        .sent_at = connection.sent_at.value_or(now),
                        .ended_at = now,
                        .error = &error};
  const bool had_exchange = connection.exchange.has_value();
  connection.exchange.reset();
  close(connection);
  if (!had_exchange) return;
  --under_way_;
  start_next();
  on_end(end);
}

void EpollEngine::close(Connection& connection) {
  std::erase(idle_, &connection);
  connection.socket.reset();
  connection.is_dead = true;
  // Its place is free at once; the object lives until the events of this round are through.
  const auto found = std::ranges::find(connections_, &connection, [](const auto& one) { return one.get(); });
  if (found != connections_.end()) {
    dead_.push_back(std::move(*found));
    *found = std::move(connections_.back());
    connections_.pop_back();
  }
}

void EpollEngine::start_next() {
  while (!waiting_.empty() && (!idle_.empty() || connections_.size() < options_.connections_max)) {
    Waiting next = std::move(waiting_.front());
    waiting_.pop_front();
    start(std::move(next.exchange), next.since);
  }
}

void EpollEngine::end_late_ones(const OnEnd& on_end) {
  if (options_.timeout <= Millis(0) || now_ < timeouts_at_) return;
  timeouts_at_ = now_ + kTimeoutsEvery;
  const Error error{ErrorKind::transient, "timeout",
                    "There was no answer within " + std::to_string(options_.timeout.count()) + " ms."};
  std::vector<Connection*> late;
  for (const auto& connection : connections_) {
    if (connection->exchange && now_ - connection->started_at >= options_.timeout) late.push_back(connection.get());
  }
  for (Connection* connection : late) break_off(*connection, error, on_end);
  while (!waiting_.empty() && now_ - waiting_.front().since >= options_.timeout) {
    failed_.push_back({waiting_.front().exchange.tag, error});
    waiting_.pop_front();
  }
}

void EpollEngine::report_failed(const OnEnd& on_end) {
  for (const Failed& failed : std::exchange(failed_, {})) {
    --under_way_;
    on_end({.tag = failed.tag, .sent_at = now_, .ended_at = now_, .error = &failed.error});
  }
}

int EpollEngine::wait(MonoTime until) {
  auto left = failed_.empty() ? until - clock_.mono_now() : MonoTime::duration::zero();
  left = std::clamp<MonoTime::duration>(left, MonoTime::duration::zero(), kTimeoutsEvery);
  const auto nanoseconds = std::chrono::nanoseconds(left).count();  // up to a tenth of a second
  const timespec timeout{.tv_sec = 0, .tv_nsec = nanoseconds};
  const int ready = ::epoll_pwait2(epoll_.get(), events_.data(), kEventsMax, &timeout, nullptr);
  if (ready >= 0 || errno != ENOSYS) return ready;
  // Linux before 5.11 counts in milliseconds: a request is then sent up to one too late.
  return ::epoll_wait(epoll_.get(), events_.data(), kEventsMax, static_cast<int>((nanoseconds + 999'999) / 1'000'000));
}

void EpollEngine::work(MonoTime until, const OnEnd& on_end) {
  const int ready = wait(until);
  now_ = clock_.mono_now();
  for (int i = 0; i < ready; ++i) {
    const epoll_event& event = events_[static_cast<std::size_t>(i)];
    auto* connection = static_cast<Connection*>(event.data.ptr);
    if (connection == nullptr) {
      std::uint64_t count = 0;
      [[maybe_unused]] const auto got = ::read(waker_.get(), &count, sizeof count);
    } else if (!connection->is_dead) {
      work_on(*connection, event.events, on_end);
    }
  }
  dead_.clear();
  end_late_ones(on_end);
  report_failed(on_end);
}

}  // namespace

Result<std::unique_ptr<Engine>> Engine::make(const Target& target, const EngineOptions& options, Clock& clock) {
  auto address = find_address(target);
  if (!address) return fail(address.error());
  EpollEngine::Parts parts{.target = target, .address = *address, .tls = nullptr};
  if (target.tls) {
    auto context = TlsContext::make(options.ca_bundle);
    if (!context) return fail(context.error());
    parts.tls = *std::move(context);
  }
  auto engine = std::make_unique<EpollEngine>(std::move(parts), options, clock);
  if (!engine->is_open()) {
    return fail(ErrorKind::transient, "too_many_open_files",
                std::string("Cannot wait for connections: ") + std::strerror(errno) + ". Raise `ulimit -n`.");
  }
  return engine;
}

}  // namespace imgrec::load
