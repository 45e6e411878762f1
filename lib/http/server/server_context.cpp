#include "lib/http/server/server_context.hpp"

namespace imgrec::http {

bool MemoryBudget::try_take(std::uint64_t bytes) {
  if (!waiters_.empty() || !fits(bytes)) return false;
  used_ += bytes;
  return true;
}

void MemoryBudget::release(std::uint64_t bytes) {
  used_ -= bytes;
  grant();
}

void MemoryBudget::grant() {
  while (!waiters_.empty() && fits(waiters_.front()->bytes)) {
    Waiter& next = *waiters_.front();
    waiters_.pop_front();
    used_ += next.bytes;
    next.granted = true;
    next.wake->cancel();
  }
}

ServerContext::ServerContext(ServerOptions options_given, RequestHandler handler_given)
    : options(std::move(options_given)),
      handler(std::move(handler_given)),
      io_handle(std::make_shared<IoHandle>(io)),
      budget(options.buffered_bytes_max),
      acceptor(io),
      accept_wake(io) {}

std::shared_ptr<void> ServerContext::take_slot() {
  ++slots_used;
  return std::shared_ptr<void>(this, [](ServerContext* context) {
    asio::post(context->io, [context] {
      --context->slots_used;
      context->accept_wake.cancel();
    });
  });
}

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

}  // namespace imgrec::http
