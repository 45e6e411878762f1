// The state of one simulation, and what happens in it. Private to roles/simulate: simulation.cpp runs it,
// simulation_work.cpp is about images and workers, simulation_control.cpp about whoever scales.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "lib/telemetry/metrics.hpp"
#include "roles/controller/apply.hpp"
#include "roles/simulate/machines.hpp"
#include "roles/simulate/request_queue.hpp"
#include "roles/simulate/signals_model.hpp"
#include "roles/simulate/simulation.hpp"

namespace imgrec::simulate {

class SimulatedClock final : public Clock {
 public:
  explicit SimulatedClock(const MonoTime& now) : now_(now) {}
  WallTime wall_now() const override { return wall_time(now_); }
  MonoTime mono_now() const override { return now_; }
  /// Nobody sleeps here: whoever waits is an event.
  bool sleep_until(MonoTime /*time*/, std::stop_token /*stop*/) override { return true; }

 private:
  const MonoTime& now_;
};

class Simulation {
 public:
  Simulation(const Setup& setup, const ScalerFactory& make_scaler, Recording* recording);
  Outcome run();

 private:
  void handle(const Event& event);
  void sample();
  Outcome finish();

  // Images and workers.
  void arrive(std::uint32_t job);
  void hand_out();
  void receive(std::uint32_t index);
  void begin_job(std::uint32_t index, std::uint32_t job);
  void seek_work(std::uint32_t index);
  void job_done(std::uint32_t index, std::uint32_t job);
  void count_answer(std::uint32_t job);
  void job_visible(std::uint32_t job);
  void machine_ready(std::uint32_t index);
  void machine_lost(std::uint32_t index);
  void take_request_to_stop();
  void confirm_stop(std::uint32_t index);
  void stop_taking_work(std::uint32_t index);
  void may_stop(std::uint32_t index);
  void start_polling(std::uint32_t index);
  void end_polling(std::uint32_t index);
  const PrefetchWindow& window(const Machine& machine) const {
    return windows_[machine.knows_time ? 1 : 0][machine.backlog ? 1 : 0];
  }

  // Whoever scales.
  void look();
  void plan_look(Span pause);
  Span pause_after(const Observation& observation, const Decision& decision) const;
  void give_up_overdue_requests(Drains& drains);
  void wake_controller();
  void restart_controller();
  Observation observe(const FaultWindow& faults);
  std::vector<InstanceSignals> instance_signals() const;
  void apply(const RoundOutcome& outcome, std::size_t confirmed);
  void record_decision(const RoundOutcome& outcome);

  const Setup& setup_;
  const std::vector<Job>& jobs_;
  const ScalerFactory& make_scaler_;
  Recording* const recording_;  // null: none
  SplitMix64 random_;
  MonoTime now_ = kBegin;
  SimulatedClock clock_;
  EventQueue events_;
  RequestQueue queue_;
  Machines machines_;
  SignalsModel signals_;
  Metrics metrics_;
  std::unique_ptr<Scaler> scaler_;
  std::optional<Reaper> reaper_;
  std::optional<Applier> applier_;
  std::vector<std::uint8_t> attempts_;       // by job
  std::vector<std::uint8_t> found_machine_;  // by job: some worker was there when it arrived
  std::vector<std::uint8_t> over_;           // by job: answered, or given up
  std::vector<std::uint32_t> polling_;       // machines whose worker asks for messages
  PrefetchWindow windows_[2][2];             // in jobs: knows_time, backlog
  std::size_t next_job_ = 0;
  std::deque<MonoTime> requests_to_stop_;  // sent then, and not taken; oldest first
  int working_ = 0;                        // machines whose worker takes work
  MonoTime last_look_ = kBegin, next_look_ = kBegin;
  double requests_of_looks_ = 0;  // to the queues
  bool controller_down_ = false;
  int wanted_ = 0;
  int direction_ = 0;  // of the last action: 1 launched, -1 ended
  double idle_machine_s_ = 0;
  WaitHistogram lately_;  // since the last sample
  Outcome outcome_;
};

}  // namespace imgrec::simulate
