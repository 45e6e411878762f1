#include "lib/http/server/server_context.hpp"

#include "lib/http/server/session.hpp"
// Asio first (see there).
#include <algorithm>

namespace imgrec::http {
namespace {

constexpr std::size_t kFailureKindsMax = 64;
/// Long enough for the memory of an upload that was ended to come back, before another is ended.
constexpr Millis kSlowUploadWait{10};
constexpr Seconds kRetryAfterMax{60};

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
  if (!watching_ && !watching_stopped_) begin_watch();
}

void ServerContext::upload_became_slow() {
  if (watching_ && !watching_stopped_) begin_watch();
}

void ServerContext::begin_watch() {
  watching_ = true;
  const std::uint64_t waiting = budget->longest_waiting();
  for (Session* session : uploads) session->mark_progress();
  const Session* slowest = slowest_upload();
  const bool is_slow = slowest != nullptr && slowest->is_slow();
  watch_timer_.expires_after(is_slow ? kSlowUploadWait : options.memory_wait_max);
  watch_timer_.async_wait([this, waiting](boost::system::error_code cancelled) {
    if (cancelled) return;
    watching_ = false;
    if (budget->longest_waiting() == 0) return;
    Session* ending = budget->longest_waiting() == waiting ? slowest_upload() : nullptr;
    if (ending != nullptr) {
      uploads_ended_total.fetch_add(1, std::memory_order_relaxed);
      ending->end_upload();
    }
    watch_uploads();
  });
}

void ServerContext::stop_watching_uploads() {
  watching_stopped_ = true;
  watch_timer_.cancel();
}

// Those known to be slow come first. Those that wait for memory themselves are not slow, and those without any would
// free none.
Session* ServerContext::slowest_upload() const {
  Session* slowest = nullptr;
  std::pair<bool, std::uint64_t> least;
  for (Session* session : uploads) {
    const auto progress = session->progress();
    if (!progress) continue;
    const std::pair rank(!session->is_slow(), *progress);
    if (slowest == nullptr || rank < least) {
      slowest = session;
      least = rank;
    }
  }
  return slowest;
}

Seconds ServerContext::memory_retry_after() const {
  const auto places = static_cast<Millis::rep>(budget->waiting()) + 1;
  return std::clamp(std::chrono::ceil<Seconds>(options.memory_wait_max * places), Seconds(1), kRetryAfterMax);
}

}  // namespace imgrec::http
