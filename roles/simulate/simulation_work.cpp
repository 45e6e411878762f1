// Images and workers: who works on what, and when it is done.
#include <algorithm>

#include "roles/simulate/simulation_state.hpp"

namespace imgrec::simulate {
namespace {

constexpr Span kVisibility = std::chrono::seconds(30);  // after which what a dead worker held is received again
constexpr std::uint8_t kAttemptsMax = 5;

}  // namespace

void Simulation::arrive(std::uint32_t job) {
  const std::uint32_t images = jobs_[job].images;
  const bool after_quiet = signals_.arrived(now_, images);
  found_machine_[job] = working_ > 0;
  queue_.add(job, images, now_);
  hand_out();
  if (after_quiet) wake_controller();
}

// Long polls: whoever waits gets what is there, and which of them is chance.
void Simulation::hand_out() {
  while (queue_.has_work() && !free_.empty()) {
    start_job(free_[static_cast<std::size_t>(random_.next() % free_.size())]);
  }
}

void Simulation::start_job(std::uint32_t index) {
  Machine& machine = machines_[index];
  const std::uint32_t job = queue_.front();
  queue_.take(now_, jobs_[job].images);
  if (attempts_[job]++ > 0) outcome_.redelivered += jobs_[job].images;
  *std::ranges::find(machine.jobs, kNoJob) = job;
  if (machine.busy++ == 0) idle_machine_s_ += in_seconds(now_ - machine.idle_since);
  if (machine.busy == setup_.kind.slots) forget_free(index);
  events_.schedule(now_ + from_seconds(static_cast<double>(jobs_[job].service_s)), EventKind::job_done, index, job);
}

void Simulation::job_done(std::uint32_t index, std::uint32_t job) {
  Machine& machine = machines_[index];
  const auto slot = std::ranges::find(machine.jobs, job);
  if (slot == machine.jobs.end()) return;  // it crashed meanwhile
  *slot = kNoJob;
  --machine.busy;
  count_answer(job);
  if (!machine.takes_work) {
    if (machine.busy == 0) machines_.begin_ending(index);
    return;
  }
  if (queue_.has_work()) return start_job(index);
  if (machine.busy == 0) {
    machine.idle_since = now_;
    if (requests_to_stop_ > 0) return confirm_stop(index);
  }
  remember_free(index);
}

void Simulation::count_answer(std::uint32_t job) {
  const Job& done = jobs_[job];
  over_[job] = 1;
  queue_.leave_flight(done.images, now_);
  signals_.finished(done.images, static_cast<double>(done.service_s) / setup_.kind.slots);
  const double wait_s = in_seconds(now_ - done.at);
  outcome_.answered += done.images;
  outcome_.wait.add(wait_s, done.images);
  if (recording_ != nullptr) lately_.add(wait_s, done.images);
  // What finds no machine may wait for a boot besides: one of the slower ones.
  const double boot_s = found_machine_[job] != 0 ? 0 : setup_.kind.boot_s.quantile(kNormalQuantile99);
  if (wait_s <= setup_.wanted_wait_s + boot_s) outcome_.within_wanted_wait += done.images;
}

void Simulation::job_visible(std::uint32_t job) {
  queue_.leave_flight(jobs_[job].images, now_);
  if (attempts_[job] >= kAttemptsMax) {
    outcome_.lost += jobs_[job].images;
    over_[job] = 1;
    return;
  }
  queue_.add(job, jobs_[job].images, now_);
  hand_out();
}

void Simulation::machine_ready(std::uint32_t index) {
  Machine& machine = machines_[index];
  if (machine.phase != Phase::booting) return;
  machine.phase = Phase::working;
  machine.takes_work = true;
  machine.idle_since = now_;
  ++working_;
  signals_.booted(machine.ready_at - machine.launched);
  remember_free(index);
  hand_out();
  if (machine.busy == 0 && requests_to_stop_ > 0) confirm_stop(index);
}

void Simulation::machine_lost(std::uint32_t index) {
  Machine& machine = machines_[index];
  if (machine.phase != Phase::booting && machine.phase != Phase::working) return;
  if (setup_.scenario.loss_notice) {
    machines_.end_by_itself(index);
  } else {
    for (std::uint32_t& job : machine.jobs) {
      if (job != kNoJob) events_.schedule(now_ + kVisibility, EventKind::job_visible, index, job);
      job = kNoJob;
    }
    machines_.crash(index);
  }
  stop_taking_work(index);
}

// An idle worker takes a request to stop; when all are busy, whoever is done first does.
void Simulation::take_request_to_stop() {
  if (requests_to_stop_ == 0 || free_.empty()) return;
  const std::size_t first = static_cast<std::size_t>(random_.next() % free_.size());
  for (std::size_t i = 0; i < free_.size(); ++i) {
    const std::uint32_t index = free_[(first + i) % free_.size()];
    if (machines_[index].busy == 0) return confirm_stop(index);
  }
}

void Simulation::confirm_stop(std::uint32_t index) {
  --requests_to_stop_;
  machines_[index].phase = Phase::confirmed;
  stop_taking_work(index);
}

void Simulation::stop_taking_work(std::uint32_t index) {
  Machine& machine = machines_[index];
  if (!machine.takes_work) return;
  machine.takes_work = false;
  --working_;
  if (machine.busy == 0) idle_machine_s_ += in_seconds(now_ - machine.idle_since);
  forget_free(index);
}

void Simulation::remember_free(std::uint32_t index) {
  Machine& machine = machines_[index];
  if (machine.place_free != 0) return;
  free_.push_back(index);
  machine.place_free = static_cast<std::uint32_t>(free_.size());
}

void Simulation::forget_free(std::uint32_t index) {
  Machine& machine = machines_[index];
  if (machine.place_free == 0) return;
  const std::uint32_t last = free_.back();
  free_[machine.place_free - 1] = last;
  machines_[last].place_free = machine.place_free;
  machine.place_free = 0;
  free_.pop_back();
}

}  // namespace imgrec::simulate
