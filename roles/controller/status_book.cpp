#include "roles/controller/status_book.hpp"

#include <algorithm>
#include <utility>

#include "lib/telemetry/time_series.hpp"

namespace imgrec {
namespace {

// A worker that ran before this controller is heard within this time, so one that is silent for longer does not boot.
constexpr Seconds kBootingMax{150};

constexpr Seconds kGapMax{300};  // not counted as machine time beyond that: nobody looked

}  // namespace

StatusBook::StatusBook(const ControllerConfig& config, std::string controller, bool hears_workers)
    : config_(config), controller_(std::move(controller)), hears_workers_(hears_workers) {}

MachineStatus StatusBook::machine(const Observation& observation, std::size_t index) const {
  const Instance& instance = observation.instances[index];
  MachineStatus machine{.id = instance.id.str(),
                        .app_tier_id = instance.app_tier_id,
                        .type = instance.type,
                        .state = MachineState::ready,
                        .launched_at = instance.launched_at};
  const InstanceSignals said =
      index < observation.signals.instances.size() ? observation.signals.instances[index] : InstanceSignals{};
  machine.images = said.images;
  machine.busy_share = said.busy_share;
  const Millis boot = observation.signals.boot_high.value_or(config_.boot_time);
  const Millis booting_max = std::max<Millis>(kBootingMax, 3 * boot);
  if (instance.state == InstanceState::stopping ||
      std::ranges::find(observation.drains.confirmed, instance.id) != observation.drains.confirmed.end()) {
    machine.state = MachineState::draining;
  } else if (instance.state == InstanceState::pending ||
             (hears_workers_ && !said.ready_since && observation.wall - instance.launched_at < booting_max)) {
    machine.state = MachineState::booting;
  } else if (said.ready_since && !said.idle_since && observation.depth.in_flight > 0) {
    // A worker says that it is idle some seconds after its last message; who works has a message in flight.
    machine.state = MachineState::busy;
  }
  return machine;
}

void StatusBook::add_machines(ServiceStatus& status, const Observation& observation) {
  status.counts.emplace();
  for (std::size_t i = 0; i < observation.instances.size(); ++i) {
    MachineStatus one = machine(observation, i);
    switch (one.state) {
      case MachineState::booting: ++status.counts->booting; break;
      case MachineState::ready: ++status.counts->ready; break;
      case MachineState::busy: ++status.counts->busy; break;
      case MachineState::draining: ++status.counts->draining; break;
    }
    if (status.machines.size() < ServiceStatus::kMachinesMax) status.machines.push_back(std::move(one));
  }
  if (counted_at_) {
    const auto gap = std::clamp<MonoTime::duration>(observation.at - *counted_at_, Seconds(0), kGapMax);
    const double seconds = std::chrono::duration<double>(gap).count();
    machine_seconds_ += seconds * static_cast<double>(counted_);
    dollars_ += seconds / 3600 * dollars_per_hour_;
  }
  counted_at_ = observation.at;
  counted_ = observation.instances.size();
  dollars_per_hour_ = 0;
  for (const Instance& instance : observation.instances) dollars_per_hour_ += config_.price_of(instance.type);
}

void StatusBook::add_decision(const DecisionRecord& record) {
  const auto& [take_back, launch, ask, terminate] = record.actions;
  const bool acted = take_back + launch + ask + terminate > 0;
  const bool is_news = acted || (record.wanted && record.wanted != wanted_before_) || record.error != error_before_;
  if (record.wanted) wanted_before_ = record.wanted;
  error_before_ = record.error;
  if (!is_news) return;
  decisions_.push_front({.at = record.at,
                         .wanted = record.wanted,
                         .launch = launch,
                         .take_back = take_back,
                         .ask_to_stop = ask,
                         .terminate = terminate,
                         .why = record.why.substr(0, DecisionHistory::kTextBytesMax),
                         .error = record.error.substr(0, DecisionHistory::kTextBytesMax)});
  if (decisions_.size() > ServiceStatus::kDecisionsMax) decisions_.pop_back();
}

// One a second: a later look of the same second replaces the one before it.
void StatusBook::add_sample(const ServiceStatus& status) {
  ServiceSample sample{.at = std::chrono::floor<Seconds>(status.at), .values = {}};
  sample.values.fill(kUnknown);
  if (status.queue && status.counts) {
    sample.values = {static_cast<double>(status.queue->visible),
                     static_cast<double>(status.queue->in_flight),
                     static_cast<double>(status.queue->delayed),
                     status.queue->oldest_age ? to_s(*status.queue->oldest_age) : kUnknown,
                     static_cast<double>(status.counts->booting),
                     static_cast<double>(status.counts->ready),
                     static_cast<double>(status.counts->busy),
                     static_cast<double>(status.counts->draining),
                     status.wanted ? static_cast<double>(*status.wanted) : kUnknown,
                     machine_seconds_};
  }
  // A clock that was set back begins anew.
  while (!samples_.empty() && samples_.back().at >= sample.at) samples_.pop_back();
  samples_.push_back(sample);
  if (samples_.size() > ServiceStatus::kSamplesMax) samples_.pop_front();
}

ServiceStatus StatusBook::add(const Observation* observation, const DecisionRecord& record) {
  if (!begun_) begun_ = record.at;
  ServiceStatus status{.at = record.at, .controller = controller_, .policy = config_.policy};
  status.every = config_.status_interval;
  status.wanted = record.wanted;
  status.why = record.why.substr(0, DecisionHistory::kTextBytesMax);
  status.error = record.error.substr(0, DecisionHistory::kTextBytesMax);
  status.boot_s = to_s(config_.boot_time);
  if (observation != nullptr) {
    const QueueDepth& depth = observation->depth;
    status.queue = {.visible = depth.visible,
                    .in_flight = depth.in_flight,
                    .delayed = depth.delayed,
                    .oldest_age = depth.oldest_age};
    status.arrivals_per_s = observation->signals.arrivals_per_s;
    if (observation->signals.boot_mean) status.boot_s = to_s(*observation->signals.boot_mean);
    boots_.clear();
    for (const ImageBoots& boots : observation->signals.boots) {
      std::ranges::transform(boots.times, std::back_inserter(boots_.emplace_back().times_s), to_s);
      boots_.back().image = boots.image;
    }
    add_machines(status, *observation);
  }
  status.boots = boots_;
  status.cost = {
      .since = *begun_,
      .machine_seconds = machine_seconds_,
      .dollars_per_hour = counted_ > 0 ? dollars_per_hour_ / static_cast<double>(counted_) : config_.dearest_price(),
      .dollars = dollars_};
  add_decision(record);
  add_sample(status);
  status.decisions.assign(decisions_.begin(), decisions_.end());
  status.samples.assign(samples_.begin(), samples_.end());
  return status;
}

}  // namespace imgrec
