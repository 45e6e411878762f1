#include "roles/worker/dependency.hpp"

#include <algorithm>
#include <utility>

namespace imgrec {
namespace {

constexpr Millis kLookAgain{100};  // for a probe that is under way: its failure wakes nobody

}  // namespace

bool is_outage(const Error& error) {
  switch (error.kind) {
    case ErrorKind::transient:
    case ErrorKind::throttled:
    case ErrorKind::denied:
    case ErrorKind::bug: return true;
    case ErrorKind::not_found:
    case ErrorKind::invalid:
    case ErrorKind::cancelled: return false;
  }
  return true;
}

Error Dependency::as_outage(Error error) {
  if (error.kind == ErrorKind::invalid || error.kind == ErrorKind::not_found) error.kind = ErrorKind::transient;
  return error;
}

Result<void> Dependency::wait_for_turn(const std::stop_token& stop, MonoTime end) {
  while (!breaker_.admits()) {
    std::stop_token works_again;
    {
      std::lock_guard lock(mutex_);
      works_again = works_again_.get_token();
    }
    const auto outage = breaker_.outage();
    if (!outage) continue;
    const MonoTime now = clock_.mono_now();
    if (now >= end || stop.stop_requested()) return fail(as_outage(outage->error));
    std::stop_source wake;
    const auto wakes = [&wake] { wake.request_stop(); };
    const std::stop_callback on_stop(stop, wakes), on_end_of_outage(works_again, wakes);
    clock_.sleep_until(std::min(end, breaker_.next_probe().value_or(now + kLookAgain)), wake.get_token());
  }
  return {};
}

// The call was answered: with an error that is no outage, or without any.
void Dependency::tell(const Error* error) {
  if (error != nullptr && error->kind == ErrorKind::cancelled) {
    breaker_.withdrawn();
    return;
  }
  if (!breaker_.succeeded()) return;
  std::lock_guard lock(mutex_);
  std::exchange(works_again_, std::stop_source()).request_stop();
}

bool Dependency::may_be_tried() const {
  const auto next = breaker_.next_probe();
  return works() || (next && clock_.mono_now() >= *next);
}

}  // namespace imgrec
