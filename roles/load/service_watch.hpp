// Watches the service while a workload runs: what its own status says of queue, machines and cost.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "lib/base/clock.hpp"
#include "lib/base/secret.hpp"
#include "lib/http/load/target.hpp"
#include "lib/ports/http_client.hpp"

namespace imgrec::load {

/// What was known at one instant; nothing where the service does not know it.
struct ServiceSample {
  double at_s = 0;  // since the workload's beginning
  std::optional<double> visible{}, in_flight{};
  std::optional<double> booting{}, ready{}, busy{}, draining{};
  std::optional<double> machine_seconds{}, dollars{};  // since the controller's beginning

  std::optional<double> machines() const;
};

struct ServiceDecision {
  double at_s = 0;
  std::optional<double> wanted;
  int launch = 0, end = 0;  // machines: new ones; those that were asked to stop, taken back or terminated
  std::string why;
};

struct ServiceSeen {
  std::string problem;  // why there are no samples; empty: there are
  std::vector<ServiceSample> samples{};
  std::vector<ServiceSample> series{};       // the same from its time series, second by second; may be empty
  std::vector<ServiceDecision> decisions{};  // since the workload's beginning, by time

  std::optional<double> machines_max() const;
  /// What to draw: the time series, or else the samples.
  const std::vector<ServiceSample>& drawn() const { return series.empty() ? samples : series; }
  /// Since the first sample.
  std::optional<double> machine_seconds() const;
  std::optional<double> dollars() const;
};

/// The status that GET /v1/status answers. at_s of the decisions is seconds before the status' own "now", negative.
/// Errors: invalid "bad_status".
struct ServiceStatusRead {
  WallTime now{};  // the service's clock
  std::optional<double> dollars_per_hour;
  ServiceSample sample;
  std::vector<ServiceDecision> decisions;
};
Result<ServiceStatusRead> read_service_status(const std::string& json);

/// What GET /v1/timeseries answers, by time; at_s is seconds since `begin` on the service's clock, and dollars come
/// from the machine-seconds. Errors: invalid "bad_series".
Result<std::vector<ServiceSample>> read_service_series(const std::string& json, WallTime begin,
                                                       std::optional<double> dollars_per_hour);

/// Asks once a second on a thread of its own, until it is stopped or the service says that it will not answer (404,
/// 401, 403 …). The client lives longer.
class ServiceWatch {
 public:
  ServiceWatch(HttpClient& http, const Target& target, Secret api_key, Clock& clock);
  /// The service will not answer. Thread-safe.
  bool is_refused() const { return is_refused_; }
  /// Asks a last time, and returns what was seen.
  ServiceSeen stop();

 private:
  void run(const std::stop_token& stop);
  /// Returns false when asking again is no use.
  bool ask();
  void ask_for_series();
  Result<HttpClientResponse> get(const std::string& path);

  HttpClient& http_;
  const std::string origin_;
  const Secret api_key_;
  Clock& clock_;
  const MonoTime begin_;
  ServiceSeen seen_;
  std::optional<WallTime> begin_there_;  // the beginning on the service's clock
  std::optional<double> dollars_per_hour_;
  std::atomic<bool> is_refused_ = false;
  std::jthread thread_;
};

}  // namespace imgrec::load
