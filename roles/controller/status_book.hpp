// What the controller tells about the service: made of what it observed and decided. Pure: time is passed in.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "lib/config/config.hpp"
#include "lib/job/service_status.hpp"
#include "lib/telemetry/decision_history.hpp"
#include "roles/controller/policy/observation.hpp"

namespace imgrec {

/// Not thread-safe; memory is bounded by the limits of ServiceStatus.
class StatusBook {
 public:
  /// `controller` names this process. hears_workers: workers tell when they are ready and what they do; without that an
  /// instance that runs counts as ready.
  StatusBook(const ControllerConfig& config, std::string controller, bool hears_workers);

  /// After a round; `observation`: null when it could not be read.
  ServiceStatus add(const Observation* observation, const DecisionRecord& record);

 private:
  MachineStatus machine(const Observation& observation, std::size_t index) const;
  void add_machines(ServiceStatus& status, const Observation& observation);
  void add_decision(const DecisionRecord& record);
  void add_sample(const ServiceStatus& status);

  const ControllerConfig& config_;
  const std::string controller_;
  const bool hears_workers_;
  std::optional<WallTime> begun_;
  std::optional<MonoTime> counted_at_;  // until when machine_seconds_ counts
  std::size_t counted_ = 0;             // instances since then
  double dollars_per_hour_ = 0;         // of all of them
  double machine_seconds_ = 0, dollars_ = 0;
  std::optional<int> wanted_before_;
  std::string error_before_;
  std::vector<BootStatus> boots_;
  std::deque<DecisionStatus> decisions_;  // newest first
  std::deque<ServiceSample> samples_;     // oldest first
};

}  // namespace imgrec
