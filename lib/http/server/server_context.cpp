#include "lib/http/server/server_context.hpp"

#include "lib/http/server/session.hpp"

namespace imgrec::http {
namespace {

constexpr std::size_t kFailureKindsMax = 64;

}  // namespace

void FailureLog::write(std::string_view where, std::string_view what) {
  const std::string kind = std::string(where) + ": " + std::string(what);
  const bool first = !seen_.contains(kind) && seen_.size() < kFailureKindsMax;
  if (first) seen_.insert(kind);
  log::write(first ? log::Level::error : log::Level::debug, "internal error in the HTTP server",
             {{"where", where}, {"error", what}});
}

ServerContext::ServerContext(ServerOptions options_given, RequestHandler handler_given)
    : options(std::move(options_given)),
      handler(std::move(handler_given)),
      io_thread(std::make_shared<IoThread>(io)),
      budget(std::make_shared<MemoryBudget>(
          MemoryBudget::Limits{.bytes_max = options.buffered_bytes_max,
                               .upload_bytes_max = options.body_bytes_max,
                               .floor_bytes = options.body_bytes_floor},
          [to = io_thread](std::function<void()> function) { to->post(std::move(function)); })),
      acceptor(io),
      accept_pause(io),
      watch_timer_(io) {}

void ServerContext::count_open(int change) {
  std::lock_guard lock(mutex);
  sessions_open += static_cast<std::uint64_t>(change);
  changed.notify_all();
}

void ServerContext::count_busy(int change) {
  std::lock_guard lock(mutex);
  sessions_busy += static_cast<std::uint64_t>(change);
  changed.notify_all();
}

bool ServerContext::evict_silent() {
  for (Session* session : silent) {
    if (session->has_unread_bytes()) continue;  // it has spoken, but had no turn yet
    session->abort();                           // takes it out of the list
    evicted_total.fetch_add(1, std::memory_order_relaxed);
    return true;
  }
  return false;
}

void ServerContext::watch_uploads() {
  if (watching_ || watching_stopped_) return;
  watching_ = true;
  const std::uint64_t waiting = budget->longest_waiting();
  for (Session* session : uploads) session->mark_progress();
  watch_timer_.expires_after(options.memory_wait_max);
  watch_timer_.async_wait([this, waiting](boost::system::error_code cancelled) {
    watching_ = false;
    if (cancelled || budget->longest_waiting() == 0) return;
    if (budget->longest_waiting() == waiting) end_slowest_upload();
    watch_uploads();
  });
}

void ServerContext::stop_watching_uploads() {
  watching_stopped_ = true;
  watch_timer_.cancel();
}

// Those that wait for memory themselves are not slow, and those without any would free none.
void ServerContext::end_slowest_upload() {
  Session* slowest = nullptr;
  for (Session* session : uploads) {
    const auto progress = session->progress();
    if (progress && (slowest == nullptr || *progress < *slowest->progress())) slowest = session;
  }
  if (slowest == nullptr) return;
  uploads_ended_total.fetch_add(1, std::memory_order_relaxed);
  slowest->end_upload();
}

}  // namespace imgrec::http
