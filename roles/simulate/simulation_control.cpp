// Whoever scales: what is observed, and what is done about it.
#include <algorithm>
#include <cmath>
#include <utility>

#include "roles/simulate/simulation_state.hpp"

namespace imgrec::simulate {
namespace {

constexpr Span kWakeDelay = std::chrono::milliseconds(200);
constexpr Span kNewsPause = std::chrono::seconds(1);   // between two looks, whatever the news
constexpr Span kIdlePause = std::chrono::seconds(40);  // when nothing is to be done before the next image
constexpr int kIdleFactor = 8;                         // of the usual pause, where that is short
constexpr double kSignalPollS = 20;
constexpr Span kSaidIdleAfter = std::chrono::seconds(5);
constexpr std::int64_t kReportEveryS = 10;  // workers tell what they did

}  // namespace

void Simulation::restart_controller() {
  scaler_ = make_scaler_();
  reaper_.emplace(reap_rules(ControllerConfig()));
  applier_.emplace(ApplierPorts{.fleet = machines_,
                                .clock = clock_,
                                .rng = random_,
                                .metrics = metrics_,
                                .starts = scaler_->starts(),
                                .reaper = &*reaper_});
}

// By a signal that a look should not wait for.
void Simulation::wake_controller() {
  const MonoTime soon = std::max(now_ + kWakeDelay, last_look_ + kNewsPause);
  if (!scaler_->wakes_on_arrivals() || controller_down_ || next_look_ <= soon) return;
  if (setup_.scenario.faults_at(since_begin(now_)).signals_lost) return;
  next_look_ = soon;
  events_.schedule(next_look_, EventKind::look);
}

void Simulation::plan_look(Span pause) {
  last_look_ = now_;
  next_look_ = now_ + pause;
  events_.schedule(next_look_, EventKind::look);
  // The counts of the queue; and signals, for which it waits.
  requests_of_looks_ += 1 + (scaler_->reads_signals() ? std::ceil(in_seconds(pause) / kSignalPollS) : 0);
}

// As Controller::pause.
Span Simulation::pause_after(const Observation& observation, const Decision& decision) const {
  const double own_s = setup_.scenario.service.look_s;
  const Span usual = own_s > 0 ? from_seconds(own_s) : scaler_->period();
  const bool nothing_to_do = count_messages(observation.depth) == 0 &&
                             (decision.settled || (observation.instances.empty() && decision.wanted == 0));
  if (!nothing_to_do || !scaler_->wakes_on_arrivals() || !observation.signals.last_arrival) return usual;
  return std::max(usual, std::min(kIdlePause, kIdleFactor * usual));
}

void Simulation::look() {
  const FaultWindow faults = setup_.scenario.faults_at(since_begin(now_));
  if (faults.controller_down) {
    controller_down_ = true;
    return plan_look(scaler_->period());
  }
  if (std::exchange(controller_down_, false)) {
    machines_.caller_forgets();
    restart_controller();
  }
  ++outcome_.looks;
  if (random_.next_unit() < faults.unreadable) {
    scaler_->not_observed();
    return plan_look(scaler_->period());
  }
  Observation observation = observe(faults);
  observation.reaped = reaper_->observe(observation);
  const RoundOutcome outcome = scaler_->look(observation);
  plan_look(pause_after(observation, outcome.decision));
  apply(outcome, observation.drains.confirmed.size() + observation.reaped.size());
  record_decision(outcome);
}

Observation Simulation::observe(const FaultWindow& faults) {
  Observation observation{.at = now_, .wall = wall_time(now_)};
  observation.depth = queue_.read(now_, from_seconds(faults.counts_late_s), random_);
  observation.instances = *machines_.describe();
  observation.drains = {.possible = scaler_->can_ask(), .confirmed = {}};
  give_up_overdue_requests(observation.drains);
  for (const std::uint32_t index : machines_.alive()) {
    if (machines_[index].phase == Phase::confirmed) observation.drains.confirmed.push_back(Machines::id_of(index));
  }
  if (scaler_->reads_signals() && !faults.signals_lost) {
    observation.signals = signals_.read(now_);
    observation.signals.instances = instance_signals();
  }
  return observation;
}

void Simulation::give_up_overdue_requests(Drains& drains) {
  const MonoTime oldest = now_ - from_seconds(setup_.scenario.service.drain_timeout_s);
  for (; !requests_to_stop_.empty() && requests_to_stop_.front() <= oldest; requests_to_stop_.pop_front()) {
    ++drains.overdue;
  }
  drains.requested = static_cast<int>(requests_to_stop_.size());
}

std::vector<InstanceSignals> Simulation::instance_signals() const {
  std::vector<InstanceSignals> signals;
  signals.reserve(machines_.alive().size());
  for (const std::uint32_t index : machines_.alive()) {
    const Machine& machine = machines_[index];
    if (machine.shown_from > now_) continue;
    InstanceSignals& one = signals.emplace_back();
    one.leaving = machine.phase != Phase::booting && !machine.takes_work;
    if (!machine.takes_work) continue;
    const auto reports =
        std::chrono::duration_cast<std::chrono::seconds>(now_ - machine.ready_at).count() / kReportEveryS;
    one.ready_since = machine.ready_at;
    one.last_heard = machine.ready_at + std::chrono::seconds(reports * kReportEveryS);
    one.busy_share = static_cast<double>(machine.busy) / setup_.kind.slots;
    if (machine.busy == 0 && now_ - machine.idle_since >= kSaidIdleAfter) one.idle_since = machine.idle_since;
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

  for (int i = std::exchange(actions.take_back, 0); i > 0 && !requests_to_stop_.empty(); --i) {
    requests_to_stop_.pop_back();
  }
  for (int i = std::exchange(actions.ask, 0); i > 0; --i) {
    requests_to_stop_.push_back(now_);
    const double taken_in_s = random_.next_unit() * setup_.scenario.service.stop_check_s;
    events_.schedule(now_ + from_seconds(taken_in_s), EventKind::request_taken);
  }
  // What fails is asked for again at a later look, as the controller does.
  (void)applier_->apply(actions, {});
  if (machines_.take_caller_killed()) controller_down_ = true;  // its successor begins at the next look
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
