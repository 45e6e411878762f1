#include "lib/http/server/hub.hpp"

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

Hub::Hub(ServerOptions options_given, RequestHandler handler_given)
    : options(std::move(options_given)),
      handler(std::move(handler_given)),
      gate(std::make_shared<Gate>(io)),
      budget(options.buffered_bytes_max),
      acceptor(io),
      accept_wake(io) {}

std::shared_ptr<void> Hub::take_slot() {
  ++slots_used;
  return std::shared_ptr<void>(this, [](Hub* hub) {
    asio::post(hub->io, [hub] {
      --hub->slots_used;
      hub->accept_wake.cancel();
    });
  });
}

void Hub::count_open(int change) {
  std::lock_guard lock(mutex);
  sessions_open += static_cast<std::uint64_t>(change);
  changed.notify_all();
}

void Hub::count_busy(int change) {
  std::lock_guard lock(mutex);
  sessions_busy += static_cast<std::uint64_t>(change);
  changed.notify_all();
}

}  // namespace imgrec::http
