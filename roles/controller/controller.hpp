// observe → decide (pure) → reconcile (pure) → explain → apply, every interval.
#pragma once

#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "lib/base/clock.hpp"
#include "lib/base/rng.hpp"
#include "lib/config/config.hpp"
#include "lib/ports/fleet.hpp"
#include "lib/ports/message_queue.hpp"
#include "lib/ports/object_store.hpp"
#include "lib/telemetry/decision_history.hpp"
#include "lib/telemetry/metrics.hpp"
#include "lib/telemetry/time_series.hpp"
#include "roles/controller/status_publisher.hpp"

namespace imgrec {

struct ControllerPorts {
  MessageQueue& requests;
  Fleet& fleet;
  Clock& clock;
  Rng& rng;
  Metrics& metrics;
  DecisionHistory& decisions;
  TimeSeries& series;                 // made with controller_series()
  ObjectStore* results = nullptr;     // where workers tell why they could not start; null: not asked
  MessageQueue* signals = nullptr;    // what web nodes and workers tell; null: they tell nothing
  StatusPublisher* status = nullptr;  // told after every round but those of a dry run; null: nobody
  /// For people: how to end instances that outlive this process. Empty: they end with it.
  std::string how_to_end = {};
  QueueDirectory* queues = nullptr;  // opens the queues that follow; null: instances are told to end at once
  std::string shutdown_requests = {}, shutdown_confirmations = {};  // names
  ObjectStore* leases = nullptr;    // where controllers agree on who leads; null: this is the only one
  std::string name = {};            // of this process, for the lease: no other one ever has it
  std::string fleet_name = {};      // as LeaderLease::fleet
  bool fleet_sizes_itself = false;  // decisions are explained and published, and none is applied
  /// As LeadershipOptions::is_gone; empty: nobody can know.
  std::function<bool(const std::string& name)> is_gone = {};
};

/// The columns that the controller records, one value per round: messages by state, instances by state, and how many
/// instances are wanted.
std::vector<std::string> controller_series();

/// Runs until a stop is requested. Between two looks it listens for signals: an image after a quiet time, or a worker
/// that is ready or ends, makes it look at once. While nothing is there to do and web nodes are heard, it looks less
/// often. A port that fails is logged and asked again at the next interval: nothing is decided
/// on what could not be read. Instances that end right after their start are launched again after a pause that grows;
/// the log says so once. At its end the log says which instances go on running without it. With dry_run decisions are
/// logged and not applied, and nobody is asked who leads. Of several controllers one decides (leadership.hpp); the
/// others read nothing but the lease until they lead. max = 0 is an error here: cmd resolves it. Errors: invalid (rules
/// or policy name).
Result<void> run_controller(const ControllerConfig& config, ControllerPorts ports, std::stop_token stop);

}  // namespace imgrec
