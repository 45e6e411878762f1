#include "roles/simulate/simulation.hpp"

#include <algorithm>

#include "lib/base/json_writer.hpp"
#include "roles/simulate/floor.hpp"
#include "roles/simulate/simulation_state.hpp"

namespace imgrec::simulate {
namespace {

constexpr Span kOverrun = std::chrono::hours(2);

}  // namespace

Simulation::Simulation(const Setup& setup, const ScalerFactory& make_scaler, Recording* recording)
    : setup_(setup),
      jobs_(setup.workload.jobs),
      make_scaler_(make_scaler),
      recording_(recording),
      random_(setup.seed * 2 + 1),
      clock_(now_),
      queue_(setup.scenario.service.counts_late_s, setup.scenario.service.counts_off),
      machines_(setup.scenario, setup.kind, events_, setup.seed * 2 + 2),
      attempts_(jobs_.size()),
      found_machine_(jobs_.size()),
      over_(jobs_.size()) {
  for (const bool knows_time : {false, true}) {
    for (const bool backlog : {false, true}) {
      const PrefetchWindow images = setup.kind.window(knows_time, backlog);
      const int slots = setup.kind.slots, per_job = setup.workload.images_per_job;
      windows_[knows_time ? 1 : 0][backlog ? 1 : 0] = {.target = slots + (images.target - slots) / per_job,
                                                       .refill_at = slots + (images.refill_at - slots) / per_job};
    }
  }
  restart_controller();
}

Outcome Simulation::run() {
  const MonoTime end = kBegin + from_seconds(setup_.scenario.duration_s);
  outcome_.images = setup_.workload.images;
  events_.schedule(now_, EventKind::look);
  if (recording_ != nullptr) events_.schedule(now_, EventKind::sample);
  for (;;) {
    const MonoTime next_arrival = next_job_ < jobs_.size() ? jobs_[next_job_].at : MonoTime::max();
    const MonoTime next_event = events_.next().at;  // there always is a look to come
    const bool all_done = outcome_.answered + outcome_.lost == outcome_.images;
    const MonoTime next = std::min(next_arrival, next_event);
    if (next > end && (all_done || next > end + kOverrun)) break;
    now_ = next;
    machines_.set_now(now_);
    if (next_arrival <= next_event) {
      arrive(static_cast<std::uint32_t>(next_job_++));
    } else {
      handle(events_.take());
    }
  }
  now_ = std::max(now_, end);
  return finish();
}

void Simulation::handle(const Event& event) {
  switch (event.kind) {
    case EventKind::machine_runs: machines_.runs(event.machine); break;
    case EventKind::machine_ready: machine_ready(event.machine); break;
    case EventKind::job_done: job_done(event.machine, event.job); break;
    case EventKind::machine_lost: machine_lost(event.machine); break;
    case EventKind::machine_gone: machines_.gone(event.machine); break;
    case EventKind::job_visible: job_visible(event.job); break;
    case EventKind::request_taken: take_request_to_stop(); break;
    case EventKind::look:
      // A signal may have brought the look forward: then the one that was planned is none any more.
      if (event.at == next_look_) look();
      break;
    case EventKind::sample:
      sample();
      events_.schedule(now_ + from_seconds(recording_->sample_every_s), EventKind::sample);
      break;
  }
}

void Simulation::sample() {
  Recording::Sample sample{.at_s = since_begin(now_),
                           .visible = queue_.visible(),
                           .in_flight = queue_.in_flight(),
                           .working = working_,
                           .wanted = wanted_,
                           .dollars = machines_.billed_seconds_total(now_) * setup_.kind.dollars_per_hour / 3600,
                           .wait_p95_s = lately_.images() > 0 ? lately_.quantile(0.95) : -1};
  for (const std::uint32_t index : machines_.alive()) {
    if (machines_[index].phase == Phase::booting) ++sample.booting;
  }
  sample.ending = static_cast<int>(machines_.alive().size()) - sample.booting - sample.working;
  recording_->samples.push_back(sample);
  lately_.clear();
}

Outcome Simulation::finish() {
  if (recording_ != nullptr) sample();
  for (const std::uint32_t index : machines_.alive()) {
    const Machine& machine = machines_[index];
    if (machine.takes_work && machine.busy == 0) idle_machine_s_ += in_seconds(now_ - machine.idle_since);
  }
  // Who is not answered has waited until now, and at the least that long.
  for (std::size_t job = 0; job < next_job_; ++job) {
    if (over_[job] == 0) outcome_.wait.add(in_seconds(now_ - jobs_[job].at), jobs_[job].images);
  }
  outcome_.duration_s = since_begin(now_);
  outcome_.machine_seconds = machines_.billed_seconds_total(now_);
  const double requests = static_cast<double>(outcome_.images) * kRequestsPerImage + requests_of_looks_ +
                          idle_machine_s_ * kRequestsPerIdleSecond;
  outcome_.cost_usd = outcome_.machine_seconds * setup_.kind.dollars_per_hour / 3600 + requests * kDollarsPerRequest;
  outcome_.floor_usd = floor_usd(setup_.workload, setup_.kind);
  outcome_.machines_max = machines_.most_alive();
  outcome_.launches = machines_.launches();
  outcome_.orphans = std::max(0, machines_.count_staying() - static_cast<int>(requests_to_stop_.size()) - wanted_);
  return outcome_;
}

std::string curves_json(const std::string& policy, const std::string& scenario, const Recording& recording) {
  JsonWriter json;
  json.begin_object();
  json.member("policy", policy).member("scenario", scenario);
  const auto column = [&](const char* name, auto value_of) {
    json.begin_list(name);
    for (const Recording::Sample& sample : recording.samples) json.element(static_cast<double>(value_of(sample)));
    json.end_list();
  };
  using Sample = Recording::Sample;
  column("at_s", [](const Sample& sample) { return sample.at_s; });
  column("messages", [](const Sample& sample) { return sample.visible + sample.in_flight; });
  column("machines", [](const Sample& sample) { return sample.booting + sample.working + sample.ending; });
  column("working", [](const Sample& sample) { return sample.working; });
  json.end_object();
  return json.finish();
}

Outcome simulate(const Setup& setup, const ScalerFactory& make_scaler, Recording* recording) {
  return Simulation(setup, make_scaler, recording).run();
}

}  // namespace imgrec::simulate
