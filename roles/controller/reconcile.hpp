// From "so many are wanted" to what has to be done: pure, so that every rule about instances can be tested in a table.
#pragma once

#include <string>
#include <vector>

#include "roles/controller/policy/policy.hpp"

namespace imgrec {

struct Actions {
  int take_back = 0;                  // requests to stop that are withdrawn; done first, as it costs nothing
  int launch = 0;                     // new instances
  int total = 0;                      // instances there to stay once all of this is done: for fleets that take a size
  int ask = 0;                        // further requests to stop, each of which one worker will take
  std::vector<InstanceId> terminate;  // to be ended; the fleet lets them finish what they hold
  std::string note;                   // why it is less than what is wanted, or more; empty: it is what is wanted

  bool empty() const { return take_back == 0 && launch == 0 && ask == 0 && terminate.empty(); }
};

/// The decision with its number between min and the limit (of instances and of dollars); `why` says so where it was
/// another.
Decision within_limits(Decision decision, const ScalingRules& rules);

/// What brings the fleet to the wanted number. It holds:
/// - wanted is kept between min and the limit (of instances and of dollars), and what is there plus what is launched
///   never exceeds the limit (an instance that is stopping or about to stop still takes its place);
/// - launching and asking or ending what is too many never come together; requests to stop are taken back before
///   anything is launched;
/// - only ids that were observed appear, none twice, and none that is stopping already unless it is reaped;
/// - it is idempotent: applied to the fleet that its actions lead to, it does nothing (with take_back_max, it may need
///   further rounds to take back the rest).
/// An instance that has confirmed that it holds nothing and waits for its end is ended whatever is wanted, and so is
/// one that is reaped. Of those that are too many, the ones not yet running go first, the newest of them foremost: they
/// hold nothing. Running ones are asked to stop where that is possible, the decision does not want them terminated and
/// no request is overdue; else those go that have been idle longest, where that is known, then the least busy, then the
/// newest, since the lowest numbers (app-tier-1, …) and the warmest caches are the oldest's. Time and memory are linear
/// in the number of instances, but for sorting those that are too many.
Actions reconcile(const Observation& observation, const Decision& decision, const ScalingRules& rules);

}  // namespace imgrec
