#include "roles/worker/check_settings.hpp"

namespace imgrec {

Result<void> check_settings(const WorkerSettings& settings) {
  const auto bad = [](const char* what) { return fail(ErrorKind::invalid, "bad_worker_settings", what); };
  if (settings.worker.id.empty()) return bad("worker.id is empty.");
  if (settings.worker.threads < 0 || settings.worker.threads > 1024) return bad("worker.threads is 0 (cores) to 1024.");
  if (settings.worker.prefetch < 0 || settings.worker.prefetch > 1000) return bad("worker.prefetch is 0 to 1000.");
  if (settings.worker.poll_wait < Millis(0) || settings.worker.poll_wait > Seconds(20)) {
    return bad("worker.poll_wait is 0 to 20 s.");
  }
  if (settings.queue.visibility < Seconds(1)) return bad("queue.visibility is 1 s or more.");
  if (settings.worker.attempts_max < 1) return bad("worker.attempts_max is 1 or more.");
  if (settings.worker.engine_failures_max < 1) return bad("worker.engine_failures_max is 1 or more.");
  return {};
}

}  // namespace imgrec
