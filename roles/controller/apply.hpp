// Does what reconcile asks for. What fails is logged, and asked for again when the next round still finds it missing.
#pragma once

#include <deque>
#include <optional>
#include <vector>

#include "lib/base/clock.hpp"
#include "lib/base/outage_log.hpp"
#include "lib/base/rng.hpp"
#include "lib/ports/fleet.hpp"
#include "lib/telemetry/metrics.hpp"
#include "roles/controller/drainer.hpp"
#include "roles/controller/leadership.hpp"
#include "roles/controller/reaper.hpp"
#include "roles/controller/reconcile.hpp"
#include "roles/controller/start_failures.hpp"

namespace imgrec {

struct ApplierPorts {
  Fleet& fleet;
  Clock& clock;
  Rng& rng;
  Metrics& metrics;
  StartFailures& starts;             // is told what was launched and what was told to end
  Reaper* reaper = nullptr;          // is told what was told to end; null: nobody needs to know
  Drainer* drainer = nullptr;        // asks workers to stop; null: nothing is asked
  Leadership* leadership = nullptr;  // null: this is the only controller
};

/// Not thread-safe: one controller's, for as long as it leads. Blocks as the fleet does.
class Applier {
 public:
  explicit Applier(const ApplierPorts& ports);

  /// The first failure, when there is one; the other actions are tried all the same. Requests to stop are taken back
  /// before anything is launched.
  Result<void> apply(const Actions& actions, const CallLimits& limits);

 private:
  struct Launch {
    LaunchToken token;
    int count = 0;
    int total = 0;     // with it
    std::string plan;  // of another process
    MonoTime asked_at{};
  };

  Result<void> change_requests(const Actions& actions, const CallLimits& limits);
  Result<void> launch(int count, int total, const CallLimits& limits);
  Launch next_launch(int count, int total);
  Result<CallLimits> within_lease(const CallLimits& limits) const;
  Result<void> terminate(const std::vector<InstanceId>& ids, const CallLimits& limits);

  Fleet& fleet_;
  Clock& clock_;
  Rng& rng_;
  StartFailures& starts_;
  Reaper* const reaper_;
  Drainer* const drainer_;
  Leadership* const leadership_;
  Metrics::Counter& launches_;
  Metrics::Counter& terminations_;
  OutageLog asking_, launching_, terminating_;
  std::deque<Launch> to_repeat_;  // launches that may have happened and may not be shown yet
};

}  // namespace imgrec
