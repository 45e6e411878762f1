#include "lib/base/outage_log.hpp"

#include "lib/base/log.hpp"

namespace imgrec {

void OutageLog::failed(const Error& error) {
  std::lock_guard lock(mutex_);
  ++failures_;
  if (since_) {
    log::debug(what_ + " still fails", {{"failures", failures_}, {"error", describe(error)}});
    return;
  }
  since_ = clock_.mono_now();
  log::warning(what_ + " fails; trying again until it works", {{"error", describe(error)}});
}

void OutageLog::succeeded() {
  std::lock_guard lock(mutex_);
  if (!since_) return;
  log::info(what_ + " works again", {{"failures", failures_}, {"after_ms", elapsed_ms(*since_, clock_.mono_now())}});
  since_.reset();
  failures_ = 0;
}

}  // namespace imgrec
