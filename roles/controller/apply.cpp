#include "roles/controller/apply.hpp"

#include <cassert>
#include <utility>

#include "lib/base/ids.hpp"
#include "lib/base/log.hpp"

namespace imgrec {
namespace {

constexpr Millis kShownMax{120'000};  // by then a fleet shows what it launched

bool is_unknown_end(const Error& error) {
  return error.kind == ErrorKind::transient || error.kind == ErrorKind::cancelled;
}

}  // namespace

Applier::Applier(const ApplierPorts& ports)
    : fleet_(ports.fleet),
      clock_(ports.clock),
      rng_(ports.rng),
      starts_(ports.starts),
      reaper_(ports.reaper),
      drainer_(ports.drainer),
      leadership_(ports.leadership),
      launches_(ports.metrics.counter("imgrec_controller_launches_total", "Instances launched.")),
      terminations_(ports.metrics.counter("imgrec_controller_terminations_total", "Instances told to end.")),
      asking_("changing requests to stop", clock_),
      launching_("launching instances", clock_),
      terminating_("terminating instances", clock_) {
  if (leadership_ == nullptr) return;
  for (NotedLaunch& one : leadership_->inherited()) {
    to_repeat_.push_back({.token = std::move(one.token),
                          .count = one.count,
                          .total = one.total,
                          .plan = std::move(one.plan),
                          .asked_at = clock_.mono_now()});
  }
}

Result<CallLimits> Applier::within_lease(const CallLimits& limits) const {
  return leadership_ == nullptr ? limits : leadership_->within_lease(limits);
}

Result<void> Applier::apply(const Actions& actions, const CallLimits& limits) {
  Result<void> outcome = change_requests(actions, limits);
  if (actions.launch > 0) {
    auto launched = launch(actions.launch, actions.total, limits);
    if (outcome) outcome = std::move(launched);
  }
  if (actions.terminate.empty()) return outcome;
  auto ended = terminate(actions.terminate, limits);
  return outcome ? ended : outcome;
}

Result<void> Applier::change_requests(const Actions& actions, const CallLimits& limits) {
  if (drainer_ == nullptr) {
    assert(actions.take_back == 0 && actions.ask == 0);
    return {};
  }
  if (actions.take_back + actions.ask == 0) return {};
  const auto within = within_lease(limits);
  if (!within) return fail(within.error());
  Result<void> outcome;
  if (actions.take_back > 0) outcome = drainer_->take_back(actions.take_back, *within);
  if (outcome && actions.ask > 0) outcome = drainer_->ask(actions.ask, *within);
  if (!outcome && outcome.error().kind != ErrorKind::cancelled) asking_.failed(outcome.error());
  if (outcome) asking_.succeeded();
  return outcome;
}

// An earlier launch, of this process or of the leader before, may have happened although its answer was lost, and a
// fleet may show that late: until it answers, the next launch is that one again, however many are missing now. The same
// token launches nothing more, and what is still missing then is launched in the next round. A launch of other
// instances beside those that are not shown yet could exceed the maximum.
Applier::Launch Applier::next_launch(int count, int total) {
  const MonoTime now = clock_.mono_now();
  std::erase_if(to_repeat_, [&](const Launch& one) { return now - one.asked_at >= kShownMax; });
  if (to_repeat_.empty()) {
    to_repeat_.push_back(
        {.token = leadership_ != nullptr ? leadership_->new_token() : LaunchToken(random_hex(rng_, 16)),
         .count = count,
         .total = total,
         .plan = {},
         .asked_at = now});
  } else {
    to_repeat_.front().total = total + to_repeat_.front().count - count;
  }
  return to_repeat_.front();
}

Result<void> Applier::launch(int count, int total, const CallLimits& limits) {
  const auto within = within_lease(limits);
  if (!within) return fail(within.error());
  const Launch launch = next_launch(count, total);
  LaunchRequest request{
      .count = launch.count, .total = launch.total, .token = launch.token, .plan = launch.plan, .note = {}};
  if (leadership_ != nullptr) {
    request.note = [&](const std::string& plan) {
      return leadership_->note({.token = launch.token, .count = launch.count, .total = launch.total, .plan = plan},
                               within->stop);
    };
  }
  const auto started = fleet_.launch(request, *within);
  // Without an answer it may have happened: the next launch is this one again.
  if (started || !is_unknown_end(started.error())) to_repeat_.pop_front();
  if (!started) {
    if (started.error().kind != ErrorKind::cancelled) launching_.failed(started.error());
    if (leadership_ != nullptr && !is_unknown_end(started.error())) leadership_->forget(launch.token);
    return fail(started.error());
  }
  launching_.succeeded();
  std::vector<Instance> there = *started;  // a launch that was made long ago may have ended
  std::erase_if(there, [](const Instance& instance) { return instance.state == InstanceState::stopping; });
  launches_.add(static_cast<double>(there.size()));
  starts_.launched(there);
  for (const Instance& instance : there) {
    log::info("instance launched", {{"instance", instance.id}, {"app_tier_id", instance.app_tier_id}});
  }
  return {};
}

Result<void> Applier::terminate(const std::vector<InstanceId>& ids, const CallLimits& limits) {
  const auto within = within_lease(limits);
  if (!within) return fail(within.error());
  if (auto told = fleet_.terminate(ids, *within); !told) {
    if (told.error().kind != ErrorKind::cancelled) terminating_.failed(told.error());
    return told;
  }
  terminating_.succeeded();
  terminations_.add(static_cast<double>(ids.size()));
  starts_.told_to_end(ids);
  if (reaper_ != nullptr) reaper_->told_to_end(ids, clock_.mono_now());
  for (const InstanceId& id : ids) log::info("instance told to end", {{"instance", id}});
  return {};
}

}  // namespace imgrec
