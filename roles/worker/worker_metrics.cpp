#include "roles/worker/worker_metrics.hpp"

namespace imgrec {

const char* to_string(Outcome outcome) {
  switch (outcome) {
    case Outcome::labelled: return "labelled";
    case Outcome::refused: return "refused";
    case Outcome::poison: return "poison";
    case Outcome::answered_again: return "answered_again";
    case Outcome::unreadable: return "unreadable";
    case Outcome::returned: return "returned";
  }
  return "?";
}

WorkerMetrics::WorkerMetrics(Metrics& metrics)
    : leases_extended(metrics.counter("imgrec_worker_leases_extended_total", "Leases of held messages renewed.")),
      leases_lost(metrics.counter("imgrec_worker_leases_lost_total", "Messages delivered again while held here.")),
      redeliveries(metrics.counter("imgrec_worker_redeliveries_total", "Messages received that had been before.")),
      metrics_(metrics) {
  metrics.gauge("imgrec_worker_jobs_in_progress", "Messages being worked on now.",
                [value = in_progress] { return static_cast<double>(value->load()); });
}

void WorkerMetrics::count(Outcome outcome) {
  metrics_.counter("imgrec_worker_jobs_total", "Messages by how they ended.", {{"outcome", to_string(outcome)}}).add();
}

void WorkerMetrics::observe(const StageTimings& timings) {
  observe_stage("queue", timings.queue_ms);
  observe_stage("fetch", timings.fetch_ms);
  observe_stage("decode", timings.decode_ms);
  observe_stage("preprocess", timings.preprocess_ms);
  observe_stage("infer", timings.infer_ms);
  observe_stage("store", timings.store_ms);
}

void WorkerMetrics::observe_stage(const char* stage, double ms) {
  metrics_
      .histogram("imgrec_worker_stage_seconds", "Time of an image in each stage.", latency_buckets_s(),
                 {{"stage", stage}})
      .observe(ms / 1000);
}

}  // namespace imgrec
