#include "roles/simulate/machines.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

namespace imgrec::simulate {
namespace {

constexpr Span kShutDown = std::chrono::seconds(3);  // shown as shutting-down, and not billed
constexpr std::size_t kTokensMax = 64;
constexpr std::string_view kIdPrefix = "i-";

std::optional<std::uint32_t> index_of(const InstanceId& id) {
  const std::string_view text = id.str();
  if (!text.starts_with(kIdPrefix)) return std::nullopt;
  std::uint32_t index = 0;
  const auto [end, error] = std::from_chars(text.data() + kIdPrefix.size(), text.data() + text.size(), index);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return index;
}

}  // namespace

double billed_seconds(const Machine& machine, MonoTime now) {
  if (machine.billed_from == MonoTime::max()) return 0;
  return std::max(kBilledMinS, in_seconds(std::min(machine.billed_until, now) - machine.billed_from));
}

Machines::Machines(const Scenario& scenario, const WorkerKind& kind, EventQueue& events, std::uint64_t seed)
    : scenario_(scenario), kind_(kind), events_(events), boots_(seed), faults_(~seed) {}

InstanceId Machines::id_of(std::uint32_t index) {
  return InstanceId(std::string(kIdPrefix) + std::to_string(index));
}

Instance Machines::instance(std::uint32_t index) const {
  const Machine& machine = all_[index];
  InstanceState state = InstanceState::running;
  if (machine.told_by_cloud) {
    state = InstanceState::stopping;
  } else if (machine.billed_from == MonoTime::max()) {
    state = InstanceState::pending;
  }
  return {.id = id_of(index),
          .state = state,
          .app_tier_id = "app-tier-" + std::to_string(machine.number),
          .launched_at = wall_time(machine.launched)};
}

Result<std::vector<Instance>> Machines::describe(const CallLimits& /*limits*/) {
  std::vector<Instance> instances;
  instances.reserve(alive_.size());
  for (const std::uint32_t index : alive_) {
    if (all_[index].shown_from <= now_) instances.push_back(instance(index));
  }
  return instances;
}

std::uint32_t Machines::add_machine() {
  const auto index = static_cast<std::uint32_t>(all_.size());
  Machine machine{.launched = now_};
  machine.jobs.fill(kNoJob);
  if (numbers_free_.empty()) {
    machine.number = ++numbers_used_;
  } else {
    machine.number = *numbers_free_.begin();
    numbers_free_.erase(numbers_free_.begin());
  }
  const double boot_s = kind_.boot_s.sample(boots_);
  machine.ready_at = now_ + from_seconds(boot_s);
  all_.push_back(machine);
  alive_.push_back(index);
  most_alive_ = std::max(most_alive_, static_cast<int>(alive_.size()));
  events_.schedule(now_ + from_seconds(boot_s * kind_.running_share), EventKind::machine_runs, index);
  events_.schedule(machine.ready_at, EventKind::machine_ready, index);
  return index;
}

// A dead caller calls nothing more.
bool Machines::is_killed() {
  const double chance = scenario_.faults_at(since_begin(now_)).controller_killed;
  caller_killed_ = caller_killed_ || (chance > 0 && faults_.next_unit() < chance / 2);
  return caller_killed_;
}

Result<std::vector<Instance>> Machines::launch(const LaunchRequest& request, const CallLimits& /*limits*/) {
  if (is_killed()) return fail(ErrorKind::cancelled, "killed", "The caller is gone.");
  const FaultWindow faults = scenario_.faults_at(since_begin(now_));
  if (faults_.next_unit() < faults.launch_throttled) {
    return fail(ErrorKind::throttled, "throttled", "The cloud asks for fewer calls.");
  }
  std::vector<std::uint32_t> launched;
  if (const auto known = answered_.find(request.token); known != answered_.end()) {
    launched = known->second;
  } else {
    const int room =
        faults.capacity.value_or(request.count + static_cast<int>(alive_.size())) - static_cast<int>(alive_.size());
    if (room <= 0) return fail(ErrorKind::throttled, "fleet_full", "The cloud has no such machine at the moment.");
    for (int i = 0; i < std::min(room, request.count); ++i) launched.push_back(add_machine());
    if (answered_.size() == kTokensMax) answered_.clear();
    answered_.emplace(request.token, launched);
  }
  if (faults_.next_unit() < faults.launch_reply_lost) {
    for (const std::uint32_t index : launched) {
      all_[index].shown_from = all_[index].launched + from_seconds(faults.shown_late_s);
    }
    return fail(ErrorKind::transient, "reply_lost", "The answer to a launch did not arrive.");
  }
  if (is_killed()) return fail(ErrorKind::cancelled, "killed", "The caller is gone.");
  std::vector<Instance> instances;
  for (const std::uint32_t index : launched) {
    all_[index].shown_from = now_;  // a fleet remembers what it launched
    if (all_[index].phase != Phase::gone) instances.push_back(instance(index));
  }
  return instances;
}

Result<void> Machines::terminate(std::span<const InstanceId> ids, const CallLimits& /*limits*/) {
  if (is_killed()) return fail(ErrorKind::cancelled, "killed", "The caller is gone.");
  for (const InstanceId& id : ids) {
    const auto index = index_of(id);
    if (!index || *index >= all_.size()) continue;
    Machine& machine = all_[*index];
    machine.told_by_cloud = true;
    if (machine.phase == Phase::told || machine.phase == Phase::ending || machine.phase == Phase::gone) continue;
    end_by_itself(*index);
  }
  if (is_killed()) return fail(ErrorKind::cancelled, "killed", "The caller is gone.");
  return {};
}

void Machines::end_by_itself(std::uint32_t index) {
  Machine& machine = all_[index];
  machine.phase = Phase::told;
  stopped_.push_back(index);
  if (machine.busy == 0) begin_ending(index);
}

void Machines::begin_ending(std::uint32_t index) {
  Machine& machine = all_[index];
  machine.phase = Phase::ending;
  machine.billed_until = now_;
  events_.schedule(now_ + kShutDown, EventKind::machine_gone, index);
}

void Machines::caller_forgets() {
  const double late_s = scenario_.faults_at(since_begin(now_)).shown_late_s;
  for (const std::uint32_t index : alive_) all_[index].shown_from = all_[index].launched + from_seconds(late_s);
  answered_.clear();
}

void Machines::runs(std::uint32_t index) {
  Machine& machine = all_[index];
  if (machine.phase != Phase::booting) return;
  machine.billed_from = now_;
  if (scenario_.losses_per_machine_hour > 0) {
    const double mean_s = 3600 / scenario_.losses_per_machine_hour;
    events_.schedule(now_ + from_seconds(sample_exponential(faults_, mean_s)), EventKind::machine_lost, index);
  }
}

void Machines::crash(std::uint32_t index) {
  Machine& machine = all_[index];
  machine.billed_until = std::min(machine.billed_until, now_);
  stopped_.push_back(index);
  gone(index);
}

void Machines::gone(std::uint32_t index) {
  Machine& machine = all_[index];
  if (machine.phase == Phase::gone) return;
  machine.phase = Phase::gone;
  numbers_free_.insert(machine.number);
  billed_ended_s_ += billed_seconds(machine, now_);
  const auto place = std::ranges::lower_bound(alive_, index);
  alive_.erase(place);
}

double Machines::billed_seconds_total(MonoTime now) const {
  double total = billed_ended_s_;
  for (const std::uint32_t index : alive_) total += billed_seconds(all_[index], now);
  return total;
}

int Machines::count_staying() const {
  return static_cast<int>(std::ranges::count_if(alive_, [&](std::uint32_t index) {
    return all_[index].phase == Phase::booting || all_[index].phase == Phase::working;
  }));
}

}  // namespace imgrec::simulate
