#include "roles/controller/reconcile.hpp"

#include <algorithm>
#include <ranges>

namespace imgrec {
namespace {

bool contains(const std::vector<InstanceId>& ids, const InstanceId& id) {
  return std::ranges::find(ids, id) != ids.end();
}

}  // namespace

Actions reconcile(const Observation& observation, const Decision& decision, const ScalingRules& rules,
                  const Drains& drains) {
  const int all = static_cast<int>(observation.instances.size());
  const int wanted = std::clamp(decision.wanted, rules.min, rules.max);
  std::vector<const Instance*> active, draining;  // oldest first
  for (const Instance& instance : observation.instances) {
    if (instance.state == InstanceState::stopping) continue;
    (contains(drains.in_progress, instance.id) ? draining : active).push_back(&instance);
  }
  const int active_count = static_cast<int>(active.size());

  Actions actions;
  int missing = wanted - active_count;
  for (const Instance* instance : draining) {
    if (missing > 0) {
      actions.cancel_drains.push_back(instance->id);
      --missing;
    } else if (contains(drains.finished, instance->id)) {
      actions.terminate.push_back(instance->id);
    }
  }
  if (missing > 0) {
    actions.launch = std::max(0, std::min(missing, rules.max - all));
    if (actions.launch < missing) actions.note = "waiting for instances that are stopping";
  }
  for (const Instance* instance : std::views::reverse(active)) {
    if (missing >= 0) break;
    // One that is not yet running holds nothing that it could finish.
    const bool drains_first = drains.possible && instance->state == InstanceState::running;
    (drains_first ? actions.drain : actions.terminate).push_back(instance->id);
    ++missing;
  }
  if (active_count > rules.max) actions.note = "more than the maximum are there";
  actions.total = std::min(active_count, wanted) + static_cast<int>(actions.cancel_drains.size()) + actions.launch;
  return actions;
}

}  // namespace imgrec
