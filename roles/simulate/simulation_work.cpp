// Images and workers: who works on what, and when it is done.
#include <algorithm>
#include <utility>

#include "roles/simulate/simulation_state.hpp"

namespace imgrec::simulate {
namespace {

constexpr Span kVisibility = std::chrono::seconds(30);  // after which what a dead worker held is received again
constexpr std::uint8_t kAttemptsMax = 5;
constexpr Span kRemovalLinger = std::chrono::seconds(1);  // of a worker that has other work: it removes in batches

}  // namespace

void Simulation::arrive(std::uint32_t job) {
  const std::uint32_t images = jobs_[job].images;
  const bool after_quiet = signals_.arrived(now_, images);
  found_machine_[job] = working_ > 0;
  queue_.add(job, images, now_);
  hand_out();
  if (after_quiet) wake_controller();
}

// Long polls: whoever waits gets what is there, and which of them is chance. A busy worker that asks for what it does
// next may get what an idle one could begin at once.
void Simulation::hand_out() {
  while (queue_.has_work() && !polling_.empty()) {
    receive(polling_[static_cast<std::size_t>(random_.next() % polling_.size())]);
  }
}

// One call. Precondition: the queue has work, and the machine room.
void Simulation::receive(std::uint32_t index) {
  Machine& machine = machines_[index];
  const int room = window(machine).target - machine.held();
  const int asked = std::clamp(room * setup_.workload.images_per_job, 1, static_cast<int>(kBatchMax));
  std::uint32_t images = 0;
  for (int i = 0; i < room && queue_.has_work() && static_cast<int>(images) < asked; ++i) {
    const std::uint32_t job = queue_.front();
    images += jobs_[job].images;
    queue_.take(now_, jobs_[job].images);
    if (attempts_[job]++ > 0) outcome_.redelivered += jobs_[job].images;
    if (machine.busy < setup_.kind.slots) {
      begin_job(index, job);
    } else {
      machine.ahead.push_back(job);
    }
  }
  machine.backlog = static_cast<int>(images) >= asked;
  seek_work(index);
}

// Asks for messages, or does not, as its window says.
void Simulation::seek_work(std::uint32_t index) {
  const Machine& machine = machines_[index];
  const PrefetchWindow& wanted = window(machine);
  if (machine.takes_work && machine.held() < wanted.target && machine.held() <= wanted.refill_at) {
    start_polling(index);
  } else {
    end_polling(index);
  }
}

void Simulation::begin_job(std::uint32_t index, std::uint32_t job) {
  Machine& machine = machines_[index];
  *std::ranges::find(machine.jobs, kNoJob) = job;
  if (machine.busy++ == 0) idle_machine_s_ += in_seconds(now_ - machine.idle_since);
  events_.schedule(now_ + from_seconds(static_cast<double>(jobs_[job].service_s)), EventKind::job_done, index, job);
}

void Simulation::job_done(std::uint32_t index, std::uint32_t job) {
  Machine& machine = machines_[index];
  const auto slot = std::ranges::find(machine.jobs, job);
  if (slot == machine.jobs.end()) return;  // it crashed meanwhile
  *slot = kNoJob;
  --machine.busy;
  machine.knows_time = true;
  count_answer(job);
  if (machine.held() > 0) {
    queue_.leave_flight_later(jobs_[job].images, now_ + kRemovalLinger);
  } else {
    queue_.leave_flight(jobs_[job].images, now_);
  }
  if (!machine.takes_work) {
    if (machine.busy == 0) machines_.begin_ending(index);
    return;
  }
  if (machine.busy == 0) machine.idle_since = now_;
  if (!machine.ahead.empty()) {
    const std::uint32_t next = machine.ahead.front();
    machine.ahead.erase(machine.ahead.begin());
    begin_job(index, next);
  }
  seek_work(index);
  while (queue_.has_work() && machine.place_polling != 0) receive(index);
  may_stop(index);
}

// A worker that finds nothing more looks for a request to stop.
void Simulation::may_stop(std::uint32_t index) {
  if (machines_[index].held() > 0 || requests_to_stop_.empty()) return;
  const double found_in_s = random_.next_unit() * setup_.scenario.service.stop_check_s;
  events_.schedule(now_ + from_seconds(found_in_s), EventKind::request_taken);
}

void Simulation::count_answer(std::uint32_t job) {
  const Job& done = jobs_[job];
  over_[job] = 1;
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
  seek_work(index);
  hand_out();
  may_stop(index);
  wake_controller();
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
    for (const std::uint32_t job : std::exchange(machine.ahead, {})) {
      events_.schedule(now_ + kVisibility, EventKind::job_visible, index, job);
    }
    machines_.crash(index);
  }
  stop_taking_work(index);
}

// An idle worker takes a request to stop; when all are busy, whoever is done first does.
void Simulation::take_request_to_stop() {
  if (requests_to_stop_.empty() || polling_.empty()) return;
  const std::size_t first = static_cast<std::size_t>(random_.next() % polling_.size());
  for (std::size_t i = 0; i < polling_.size(); ++i) {
    const std::uint32_t index = polling_[(first + i) % polling_.size()];
    if (machines_[index].held() == 0) return confirm_stop(index);
  }
}

void Simulation::confirm_stop(std::uint32_t index) {
  requests_to_stop_.pop_front();
  machines_[index].phase = Phase::confirmed;
  stop_taking_work(index);
}

void Simulation::stop_taking_work(std::uint32_t index) {
  Machine& machine = machines_[index];
  if (!machine.takes_work) return;
  machine.takes_work = false;
  --working_;
  if (machine.busy == 0) idle_machine_s_ += in_seconds(now_ - machine.idle_since);
  end_polling(index);
  // What it has not begun goes back, and counts as no attempt.
  const std::vector<std::uint32_t> unbegun = std::exchange(machine.ahead, {});
  for (auto job = unbegun.rbegin(); job != unbegun.rend(); ++job) {
    --attempts_[*job];
    queue_.return_to_head(*job, jobs_[*job].images, now_);
  }
  hand_out();
}

void Simulation::start_polling(std::uint32_t index) {
  Machine& machine = machines_[index];
  if (machine.place_polling != 0) return;
  polling_.push_back(index);
  machine.place_polling = static_cast<std::uint32_t>(polling_.size());
}

void Simulation::end_polling(std::uint32_t index) {
  Machine& machine = machines_[index];
  if (machine.place_polling == 0) return;
  const std::uint32_t last = polling_.back();
  polling_[machine.place_polling - 1] = last;
  machines_[last].place_polling = machine.place_polling;
  machine.place_polling = 0;
  polling_.pop_back();
}

}  // namespace imgrec::simulate
