#include "roles/controller/reconcile.hpp"

#include <algorithm>
#include <string_view>
#include <unordered_set>

namespace imgrec {
namespace {

// Who goes first sorts first. The index is the age's place: higher is newer.
struct Candidate {
  std::size_t index = 0;
  bool pending = false;
  MonoTime idle_since = MonoTime::max();
  double busy_share = 1;

  bool goes_before(const Candidate& other) const {
    if (pending != other.pending) return pending;
    if (idle_since != other.idle_since) return idle_since < other.idle_since;
    if (busy_share < other.busy_share || busy_share > other.busy_share) return busy_share < other.busy_share;
    return index > other.index;
  }
};

Candidate candidate(const Observation& observation, std::size_t index) {
  Candidate one{.index = index, .pending = observation.instances[index].state == InstanceState::pending};
  if (index >= observation.signals.instances.size()) return one;
  const InstanceSignals& signals = observation.signals.instances[index];
  one.idle_since = signals.idle_since.value_or(MonoTime::max());
  one.busy_share = signals.busy_share.value_or(1);
  return one;
}

// Instances that are neither stopping, nor waiting for their end, nor reaped; these two are added to actions.terminate.
std::vector<std::size_t> staying(const Observation& observation, Actions& actions) {
  std::unordered_set<std::string_view> confirmed, reaped;
  confirmed.reserve(observation.drains.confirmed.size());
  for (const InstanceId& id : observation.drains.confirmed) confirmed.insert(id.str());
  for (const InstanceId& id : observation.reaped) reaped.insert(id.str());
  std::vector<std::size_t> staying;
  staying.reserve(observation.instances.size());
  for (std::size_t i = 0; i < observation.instances.size(); ++i) {
    const Instance& instance = observation.instances[i];
    if (reaped.contains(instance.id.str())) {
      actions.terminate.push_back(instance.id);
      continue;
    }
    if (instance.state == InstanceState::stopping) continue;
    if (confirmed.contains(instance.id.str())) {
      actions.terminate.push_back(instance.id);
    } else {
      staying.push_back(i);
    }
  }
  return staying;
}

// Ends or asks so many of those that stay.
void shrink(const Observation& observation, const std::vector<std::size_t>& staying, int surplus, Ending ending,
            Actions& actions) {
  std::vector<Candidate> candidates;
  candidates.reserve(staying.size());
  // The newest first, which is nearly their order already: then little has to be moved.
  for (std::size_t i = staying.size(); i-- > 0;) candidates.push_back(candidate(observation, staying[i]));
  const auto count = std::min(static_cast<std::size_t>(surplus), candidates.size());
  const auto end = candidates.begin() + static_cast<std::ptrdiff_t>(count);
  const auto before = [](const Candidate& a, const Candidate& b) { return a.goes_before(b); };
  if (!std::is_sorted(candidates.begin(), candidates.end(), before)) {
    std::partial_sort(candidates.begin(), end, candidates.end(), before);
  }
  const bool asks = observation.drains.possible && ending == Ending::drain;
  int unasked = observation.drains.overdue;
  for (std::size_t i = 0; i < count; ++i) {
    if (asks && !candidates[i].pending && unasked-- <= 0) {
      ++actions.ask;
    } else {
      actions.terminate.push_back(observation.instances[candidates[i].index].id);
    }
  }
}

int within(int wanted, const ScalingRules& rules) {
  return std::min(std::max(wanted, rules.min), instance_limit(rules));
}

}  // namespace

Decision within_limits(Decision decision, const ScalingRules& rules) {
  const int wanted = within(decision.wanted, rules);
  if (wanted < decision.wanted) decision.why += "; no more than " + std::to_string(wanted) + " may be there";
  if (wanted > decision.wanted) decision.why += "; " + std::to_string(wanted) + " are always there";
  decision.wanted = wanted;
  return decision;
}

Actions reconcile(const Observation& observation, const Decision& decision, const ScalingRules& rules) {
  const int limit = instance_limit(rules);
  const int wanted = within(decision.wanted, rules);
  Actions actions;
  const std::vector<std::size_t> stay = staying(observation, actions);
  const int requested = observation.drains.requested;
  const int projected = static_cast<int>(stay.size()) - requested;

  if (projected > wanted) {
    shrink(observation, stay, projected - wanted, decision.ending, actions);
    if (projected > limit) actions.note = "more than the maximum are there";
  } else if (projected < wanted) {
    const int missing = wanted - projected;
    const int covered = std::min(missing, requested);  // by taking back, now or in the next rounds
    actions.take_back = std::min(covered, decision.take_back_max);
    if (actions.take_back < covered) actions.note = "not all requests to stop are taken back at once";
    const int all = static_cast<int>(observation.instances.size());
    actions.launch = std::max(0, std::min(missing - covered, limit - all));
    if (actions.launch < missing - covered) actions.note = "waiting for instances that are stopping";
  }
  actions.total = std::min(projected, wanted) + actions.take_back + actions.launch;
  return actions;
}

}  // namespace imgrec
