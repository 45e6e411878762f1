#include "roles/worker/attempts.hpp"

#include <vector>

#include "lib/base/log.hpp"
#include "lib/job/job.hpp"

namespace imgrec {
namespace {

constexpr Millis kTidyMax{2'000};

}  // namespace

CallLimits Attempts::limits() const {
  return Deadline::in(ports_.clock, kTidyMax);
}

Result<bool> Attempts::begin(const std::stop_token& stop) {
  const PutOptions options{.only_if_absent = true, .content_type = "text/plain"};
  for (int attempt = 1; attempt <= max_; ++attempt) {
    const auto put = ports_.storing.call(stop, [&](const CallLimits& limits) {
      return ports_.store.put(attempt_key(job_, attempt), "1", options, limits);
    });
    if (!put) return fail(put.error());
    if (*put == PutOutcome::already_there) continue;
    begun_ = attempt;
    return true;
  }
  return false;
}

void Attempts::undo() {
  if (begun_ == 0) return;
  const ObjectKey counted = attempt_key(job_, begun_);
  if (auto removed = ports_.store.remove({&counted, 1}, limits()); !removed) {
    log::warning("an attempt that says nothing stays counted", {{"job", job_}, {"error", describe(removed.error())}});
  }
  begun_ = 0;
}

void Attempts::forget() {
  std::vector<ObjectKey> keys;
  for (int attempt = 1; attempt <= max_; ++attempt) keys.push_back(attempt_key(job_, attempt));
  if (auto removed = ports_.store.remove(keys, limits()); !removed) {
    log::debug("attempts not removed", {{"job", job_}, {"error", describe(removed.error())}});
  }
}

}  // namespace imgrec
