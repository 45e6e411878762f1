// Does what reconcile asks for. What fails is logged, and asked for again when the next round still finds it missing.
#pragma once

#include <optional>
#include <vector>

#include "lib/base/clock.hpp"
#include "lib/base/outage_log.hpp"
#include "lib/base/rng.hpp"
#include "lib/ports/fleet.hpp"
#include "lib/telemetry/metrics.hpp"
#include "roles/controller/drainer.hpp"
#include "roles/controller/reconcile.hpp"
#include "roles/controller/start_failures.hpp"

namespace imgrec {

/// Not thread-safe: one controller's. Blocks as the fleet does.
class Applier {
 public:
  /// `starts` is told what was launched and what was told to end. `drainer` asks workers to stop; null: nothing is
  /// asked.
  Applier(Fleet& fleet, Clock& clock, Rng& rng, Metrics& metrics, StartFailures& starts, Drainer* drainer);

  /// The first failure, when there is one; the other actions are tried all the same. Requests to stop are taken back
  /// before anything is launched.
  Result<void> apply(const Actions& actions, const CallLimits& limits);

 private:
  struct Launch {
    LaunchToken token;
    int count = 0;
    MonoTime asked_at{};
  };

  Result<void> change_requests(const Actions& actions, const CallLimits& limits);
  Result<void> launch(int count, int total, const CallLimits& limits);
  Result<void> terminate(const std::vector<InstanceId>& ids, const CallLimits& limits);

  Fleet& fleet_;
  Clock& clock_;
  Rng& rng_;
  StartFailures& starts_;
  Drainer* const drainer_;
  Metrics::Counter& launches_;
  Metrics::Counter& terminations_;
  OutageLog asking_, launching_, terminating_;
  std::optional<Launch> unanswered_;  // a launch of which the answer was lost
};

}  // namespace imgrec
