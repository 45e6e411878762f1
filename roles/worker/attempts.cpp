#include "roles/worker/attempts.hpp"

#include <vector>

#include "lib/base/log.hpp"
#include "lib/job/job.hpp"

namespace imgrec {

Result<bool> Attempts::begin(const std::stop_token& stop) {
  const PutOptions options{.only_if_absent = true, .content_type = "text/plain"};
  for (int attempt = 1; attempt <= max_; ++attempt) {
    const auto put = storing_.call(stop, [&] { return store_.put(attempt_key(job_, attempt), "1", options); });
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
  if (auto removed = store_.remove({&counted, 1}); !removed) {
    log::warning("an attempt that says nothing stays counted", {{"job", job_}, {"error", describe(removed.error())}});
  }
  begun_ = 0;
}

void Attempts::forget() {
  std::vector<ObjectKey> keys;
  for (int attempt = 1; attempt <= max_; ++attempt) keys.push_back(attempt_key(job_, attempt));
  if (auto removed = store_.remove(keys); !removed) {
    log::debug("attempts not removed", {{"job", job_}, {"error", describe(removed.error())}});
  }
}

}  // namespace imgrec
