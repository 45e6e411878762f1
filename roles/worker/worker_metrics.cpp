#include "roles/worker/worker_metrics.hpp"

namespace imgrec {

const char* to_string(Outcome outcome) {
  switch (outcome) {
    case Outcome::labelled: return "labelled";
    case Outcome::refused: return "refused";
    case Outcome::poison: return "poison";
    case Outcome::expired: return "expired";
    case Outcome::cancelled: return "cancelled";
    case Outcome::answered_again: return "answered_again";
    case Outcome::unreadable: return "unreadable";
    case Outcome::returned: return "returned";
  }
  return "?";
}

namespace {

Metrics::Histogram& stage(Metrics& metrics, const char* name) {
  return metrics.histogram("imgrec_worker_stage_seconds", "Time of an image in each stage.", latency_buckets_s(),
                           {{"stage", name}});
}

}  // namespace

WorkerMetrics::WorkerMetrics(Metrics& metrics)
    : leases_extended(metrics.counter("imgrec_worker_leases_extended_total", "Leases of held messages renewed.")),
      leases_lost(metrics.counter("imgrec_worker_leases_lost_total", "Messages delivered again while held here.")),
      engine_failures(metrics.counter("imgrec_worker_engine_failures_total", "Images on which the engine failed.")),
      redeliveries(metrics.counter("imgrec_worker_redeliveries_total", "Messages received that had been before.")),
      metrics_(metrics),
      queue_(stage(metrics, "queue")),
      fetch_(stage(metrics, "fetch")),
      decode_(stage(metrics, "decode")),
      preprocess_(stage(metrics, "preprocess")),
      infer_(stage(metrics, "infer")),
      store_(stage(metrics, "store")) {
  metrics.gauge("imgrec_worker_jobs_in_progress", "Messages being worked on now.",
                [value = in_progress] { return static_cast<double>(value->load()); });
}

void WorkerMetrics::count(Outcome outcome) {
  metrics_.counter("imgrec_worker_jobs_total", "Messages by how they ended.", {{"outcome", to_string(outcome)}}).add();
}

void WorkerMetrics::observe(const StageTimings& timings) {
  queue_.observe(timings.queue_ms / 1000);
  fetch_.observe(timings.fetch_ms / 1000);
  decode_.observe(timings.decode_ms / 1000);
  preprocess_.observe(timings.preprocess_ms / 1000);
  infer_.observe(timings.infer_ms / 1000);
  store_.observe(timings.store_ms / 1000);
}

}  // namespace imgrec
