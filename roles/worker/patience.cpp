#include "roles/worker/patience.hpp"

#include "lib/base/log.hpp"

namespace imgrec {

void TroubleLog::failed(const Error& error) {
  std::lock_guard lock(mutex_);
  ++failures_;
  if (since_) return;
  since_ = clock_.mono_now();
  log::warning(service_ + " fails; trying again until it works", {{"error", describe(error)}});
}

void TroubleLog::succeeded() {
  std::lock_guard lock(mutex_);
  if (!since_) return;
  log::info(service_ + " works again", {{"failures", failures_}, {"after_ms", elapsed_ms(*since_, clock_.mono_now())}});
  since_.reset();
  failures_ = 0;
}

}  // namespace imgrec
