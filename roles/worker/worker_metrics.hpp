// What a worker counts.
#pragma once

#include <atomic>
#include <memory>

#include "lib/job/job.hpp"
#include "lib/telemetry/metrics.hpp"

namespace imgrec {

/// How a message ended here; a label of imgrec_worker_jobs_total.
enum class Outcome {
  labelled,        // classified
  refused,         // the image, or the request, is at fault: answered with an error
  poison,          // tried alone too often: answered with an error, dead-lettered
  expired,         // too late: answered with an error, unclassified
  cancelled,       // its image was removed, as its client left: dropped
  answered_again,  // the result was there already
  unreadable,      // no request that could be answered: dead-lettered
  returned,        // not now: back to the queue
};

const char* to_string(Outcome outcome);

/// Thread-safe.
class WorkerMetrics {
 public:
  explicit WorkerMetrics(Metrics& metrics);
  void count(Outcome outcome);
  void observe(const StageTimings& timings);

  Metrics::Counter& leases_extended;
  Metrics::Counter& leases_lost;
  Metrics::Counter& engine_failures;
  Metrics::Counter& redeliveries;
  /// Shared with the gauge, which may be read after the worker's end.
  std::shared_ptr<std::atomic<int>> in_progress = std::make_shared<std::atomic<int>>(0);

 private:
  Metrics& metrics_;
  Metrics::Histogram &queue_, &fetch_, &decode_, &preprocess_, &infer_, &store_;
};

}  // namespace imgrec
