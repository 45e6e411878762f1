// From "so many are wanted" to what has to be done: pure, so that every rule about instances can be tested in a table.
#pragma once

#include <string>
#include <vector>

#include "roles/controller/policy/policy.hpp"

namespace imgrec {

struct Actions {
  std::vector<InstanceId> cancel_drains;  // keep working after all; done first, as it costs nothing
  int launch = 0;                         // new instances
  int total = 0;                          // pending and running once all of this is done: for fleets that take a size
  std::vector<InstanceId> drain;          // finish what is held, take nothing new; not yet to be ended
  std::vector<InstanceId> terminate;      // to be ended; the fleet lets them finish what they hold
  std::string note;                       // why it is less than what is wanted, or more; empty: it is what is wanted

  bool empty() const { return cancel_drains.empty() && launch == 0 && drain.empty() && terminate.empty(); }
};

/// Which instances are draining: told to take nothing new, and still able to be called back. They are running as far as
/// the fleet knows.
struct Drains {
  bool possible = false;  // false: instances that are too many are terminated at once
  std::vector<InstanceId> in_progress;
  std::vector<InstanceId> finished;  // of those in progress: they hold nothing any more
};

/// What brings the fleet to the wanted number. It holds:
/// - wanted is kept between min and max, and what is there plus what is launched never exceeds max (an instance that is
///   stopping or draining still takes its place);
/// - launching and ending never come together; drains are cancelled before anything is launched;
/// - only ids that were observed appear, none twice, none that is stopping already;
/// - it is idempotent: applied to the fleet that its actions lead to, it does nothing.
/// The newest go first: they are the likeliest to be still booting, and those with the lowest numbers (app-tier-1, …)
/// and the warmest caches stay. An idle one cannot be picked, since a fleet does not know who is idle; none has to be,
/// since each finishes what it holds before it ends.
Actions reconcile(const Observation& observation, const Decision& decision, const ScalingRules& rules,
                  const Drains& drains = {});

}  // namespace imgrec
