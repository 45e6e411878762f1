// What the controller sees: the request queue's depth and the fleet, read once per round.
#pragma once

#include <memory>

#include "lib/base/clock.hpp"
#include "lib/base/outage_log.hpp"
#include "lib/ports/fleet.hpp"
#include "lib/ports/message_queue.hpp"
#include "lib/telemetry/metrics.hpp"
#include "roles/controller/policy/policy.hpp"

namespace imgrec {

/// Not thread-safe: one controller's. Blocks as its ports do. An outage is logged once when it begins and once when it
/// ends.
class Observer {
 public:
  Observer(MessageQueue& requests, Fleet& fleet, Clock& clock, Metrics& metrics);

  /// Blocks until `limits` at most. An error when queue or fleet could not be read: then nothing is known about this
  /// round. What could be read is in the gauges all the same, and what could not be is absent there.
  Result<Observation> observe(const CallLimits& limits);

 private:
  struct Gauges;

  MessageQueue& requests_;
  Fleet& fleet_;
  Clock& clock_;
  std::shared_ptr<Gauges> gauges_;  // shared with the metrics, which may be scraped after the controller's end
  OutageLog reading_, describing_;
};

}  // namespace imgrec
