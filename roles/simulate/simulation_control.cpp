// Whoever scales: what is observed, and what is done about it.
#include <algorithm>
#include <utility>

#include "roles/simulate/simulation_state.hpp"

namespace imgrec::simulate {
namespace {

constexpr double kRequestTakenMaxS = 2;  // an idle worker finds a request to stop within this time
constexpr Span kWakeDelay = std::chrono::milliseconds(200);
constexpr std::int64_t kReportEveryS = 10;  // workers tell what they did

}  // namespace

void Simulation::restart_controller() {
  scaler_ = make_scaler_();
  applier_.emplace(machines_, clock_, random_, metrics_, scaler_->starts(), nullptr);
}

void Simulation::wake_controller() {
  if (!scaler_->wakes_on_arrivals() || controller_down_ || next_look_ <= now_ + kWakeDelay) return;
  if (setup_.scenario.faults_at(since_begin(now_)).signals_lost) return;
  next_look_ = now_ + kWakeDelay;
  events_.schedule(next_look_, EventKind::look);
}

void Simulation::look() {
  next_look_ = now_ + scaler_->period();
  events_.schedule(next_look_, EventKind::look);
  const FaultWindow faults = setup_.scenario.faults_at(since_begin(now_));
  if (faults.controller_down) {
    controller_down_ = true;
    return;
  }
  if (std::exchange(controller_down_, false)) {
    machines_.caller_forgets();
    restart_controller();
  }
  ++outcome_.looks;
  if (random_.next_unit() < faults.unreadable) return scaler_->not_observed();
  const Observation observation = observe(faults);
  const RoundOutcome outcome = scaler_->look(observation);
  apply(outcome, observation.drains.confirmed.size());
  record_decision(outcome);
}

Observation Simulation::observe(const FaultWindow& faults) {
  Observation observation{.at = now_, .wall = wall_time(now_)};
  observation.depth = queue_.read(now_, from_seconds(faults.counts_late_s), random_);
  observation.instances = *machines_.describe();
  observation.drains = {.possible = scaler_->can_ask(), .requested = requests_to_stop_, .confirmed = {}};
  for (const std::uint32_t index : machines_.alive()) {
    if (machines_[index].phase == Phase::confirmed) observation.drains.confirmed.push_back(Machines::id_of(index));
  }
  if (scaler_->reads_signals() && !faults.signals_lost) {
    observation.signals = signals_.read(now_);
    observation.signals.instances = instance_signals();
  }
  return observation;
}

std::vector<InstanceSignals> Simulation::instance_signals() const {
  std::vector<InstanceSignals> signals;
  signals.reserve(machines_.alive().size());
  for (const std::uint32_t index : machines_.alive()) {
    const Machine& machine = machines_[index];
    if (machine.shown_from > now_) continue;
    InstanceSignals& one = signals.emplace_back();
    if (!machine.takes_work) continue;
    const auto reports =
        std::chrono::duration_cast<std::chrono::seconds>(now_ - machine.ready_at).count() / kReportEveryS;
    one.ready_since = machine.ready_at;
    one.last_heard = machine.ready_at + std::chrono::seconds(reports * kReportEveryS);
    one.busy_share = static_cast<double>(machine.busy) / setup_.kind.slots;
    if (machine.busy == 0) one.idle_since = machine.idle_since;
  }
  return signals;
}

void Simulation::apply(const RoundOutcome& outcome, std::size_t confirmed) {
  Actions actions = outcome.actions;
  wanted_ = std::clamp(outcome.decision.wanted, 0, setup_.machines_max);
  const bool out = actions.launch + actions.take_back > 0;
  const bool in = actions.ask > 0 || actions.terminate.size() > confirmed;
  const int direction = out ? 1 : in ? -1 : 0;
  if (direction * direction_ < 0) ++outcome_.direction_changes;
  if (direction != 0) direction_ = direction;

  requests_to_stop_ -= std::min(requests_to_stop_, std::exchange(actions.take_back, 0));
  const int asked = std::exchange(actions.ask, 0);
  requests_to_stop_ += asked;
  for (int i = 0; i < asked; ++i) {
    events_.schedule(now_ + from_seconds(random_.next_unit() * kRequestTakenMaxS), EventKind::request_taken);
  }
  // What fails is asked for again at a later look, as the controller does.
  (void)applier_->apply(actions, {});
  for (const std::uint32_t index : machines_.take_stopped()) stop_taking_work(index);
  outcome_.over_max = std::max(outcome_.over_max, static_cast<int>(machines_.alive().size()) - setup_.machines_max);
}

void Simulation::record_decision(const RoundOutcome& outcome) {
  if (recording_ == nullptr || outcome.actions.empty()) return;
  if (recording_->decisions.size() == Recording::kDecisionsMax) return;
  const Actions& actions = outcome.actions;
  recording_->decisions.push_back({.at_s = since_begin(now_),
                                   .wanted = outcome.decision.wanted,
                                   .launch = actions.launch + actions.take_back,
                                   .end = actions.ask + static_cast<int>(actions.terminate.size()),
                                   .why = outcome.decision.why + (actions.note.empty() ? "" : "; " + actions.note)});
}

}  // namespace imgrec::simulate
