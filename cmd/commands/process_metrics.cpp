#include "cmd/commands/process_metrics.hpp"

#include "lib/config/values.hpp"
#include "lib/telemetry/metrics_file.hpp"

namespace imgrec {
namespace {

constexpr int kStatusAtLeast = 12;  // while nothing changes, a status is published once in so many intervals

constexpr int kIntervalsMissed = 5;  // then a worker's file is taken for that of one that is gone or hangs

}  // namespace

std::unique_ptr<StatusPublisher> make_status_publisher(const ControllerConfig& config, ObjectStore& results) {
  if (config.status_interval <= Millis(0) || config.dry_run) return nullptr;
  return std::make_unique<StatusPublisher>(
      results, system_clock(),
      StatusPublisher::Options{.interval = config.status_interval,
                               .at_least = kStatusAtLeast * config.status_interval});
}

Result<MetricsListener> listen_for_metrics(const MetricsConfig& config, Metrics& metrics,
                                           const DecisionHistory* decisions) {
  const auto port = parse_whole(config.port);
  if (!port) return MetricsListener();  // off
  return start_metrics_listener({.bind = config.bind, .port = static_cast<int>(*port)}, metrics, decisions);
}

ChildrenShown::ChildrenShown(const Config& config, const Platform& platform, Metrics& metrics) : metrics_(metrics) {
  if (platform.worker_metrics_dir.empty()) return;
  metrics.show_others(
      [folder = platform.worker_metrics_dir, age_max = config.metrics.file_interval * kIntervalsMissed] {
        return read_metrics_files(folder, system_clock().wall_now(), age_max);
      });
}

std::jthread keep_metrics_file(const MetricsConfig& config, const WorkerConfig& worker, Metrics& metrics) {
  if (config.dir.empty()) return {};
  MetricsFileOptions options{.folder = config.dir,
                             .name = worker.id,
                             .labels = {{"worker", worker.id}, {"app_tier_id", worker.app_tier_id}},
                             .interval = config.file_interval};
  return std::jthread([options = std::move(options), &metrics](const std::stop_token& stop) {
    run_metrics_file(options, metrics, system_clock(), stop);
  });
}

}  // namespace imgrec
