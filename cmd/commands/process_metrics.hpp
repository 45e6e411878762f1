// What a process tells about itself: the listener of every role, and the files by which `imgrec local` and a local
// controller show the figures of their worker processes.
#pragma once

#include <memory>
#include <string>
#include <thread>

#include "cmd/platform/platform.hpp"
#include "lib/config/config.hpp"
#include "lib/telemetry/decision_history.hpp"
#include "lib/telemetry/listener/metrics_listener.hpp"
#include "lib/telemetry/metrics.hpp"
#include "lib/telemetry/time_series.hpp"
#include "roles/controller/controller.hpp"

namespace imgrec {

/// What a process with a controller collects.
struct ControllerTelemetry {
  explicit ControllerTelemetry(const MetricsConfig& config)
      : decisions(static_cast<std::size_t>(config.decisions_max)), series(controller_series()) {}
  Metrics metrics;
  DecisionHistory decisions;
  TimeSeries series;
};

/// Publishes the service's status into `results`; null where controller.status_interval is 0.
std::unique_ptr<StatusPublisher> make_status_publisher(const ControllerConfig& config, ObjectStore& results);

/// No server when metrics.port is off. decisions may be null; both have to outlive the listener.
Result<MetricsListener> listen_for_metrics(const MetricsConfig& config, Metrics& metrics,
                                           const DecisionHistory* decisions);

/// From now on `metrics` show those of this process's workers too, where workers are processes. Until its end.
class ChildrenShown {
 public:
  ChildrenShown(const Config& config, const Platform& platform, Metrics& metrics);
  ~ChildrenShown() { metrics_.show_others({}); }
  ChildrenShown(const ChildrenShown&) = delete;
  ChildrenShown& operator=(const ChildrenShown&) = delete;

 private:
  Metrics& metrics_;
};

/// A thread that keeps a worker's metrics in metrics.dir until it is destroyed; none where no folder is set.
std::jthread keep_metrics_file(const MetricsConfig& config, const WorkerConfig& worker, Metrics& metrics);

}  // namespace imgrec
