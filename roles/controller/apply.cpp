#include "roles/controller/apply.hpp"

#include <cassert>
#include <utility>

#include "lib/base/ids.hpp"
#include "lib/base/log.hpp"

namespace imgrec {
namespace {

constexpr Millis kShownMax{120'000};  // by then a fleet shows what it launched

}  // namespace

Applier::Applier(Fleet& fleet, Clock& clock, Rng& rng, Metrics& metrics, StartFailures& starts, Drainer* drainer)
    : fleet_(fleet),
      clock_(clock),
      rng_(rng),
      starts_(starts),
      drainer_(drainer),
      launches_(metrics.counter("imgrec_controller_launches_total", "Instances launched.")),
      terminations_(metrics.counter("imgrec_controller_terminations_total", "Instances told to end.")),
      asking_("changing requests to stop", clock),
      launching_("launching instances", clock),
      terminating_("terminating instances", clock) {}

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
  Result<void> outcome;
  if (actions.take_back > 0) outcome = drainer_->take_back(actions.take_back, limits);
  if (outcome && actions.ask > 0) outcome = drainer_->ask(actions.ask, limits);
  if (!outcome && outcome.error().kind != ErrorKind::cancelled) asking_.failed(outcome.error());
  if (outcome && actions.take_back + actions.ask > 0) asking_.succeeded();
  return outcome;
}

Result<void> Applier::launch(int count, int total, const CallLimits& limits) {
  // An earlier launch may have happened although its answer was lost, and a fleet may show that late: until it answers,
  // the next launch is that one again, however many are missing now. The same token launches nothing more, and what is
  // still missing then is launched in the next round. A launch of other instances beside those that are not shown yet
  // could exceed the maximum.
  const MonoTime now = clock_.mono_now();
  Launch launch{LaunchToken(random_hex(rng_, 16)), count, now};
  if (unanswered_ && now - unanswered_->asked_at < kShownMax) launch = *unanswered_;
  unanswered_.reset();
  const auto started =
      fleet_.launch({.count = launch.count, .total = total + launch.count - count, .token = launch.token}, limits);
  if (!started) {
    if (started.error().kind != ErrorKind::cancelled) launching_.failed(started.error());
    if (started.error().kind == ErrorKind::transient) unanswered_ = launch;
    return fail(started.error());
  }
  launching_.succeeded();
  launches_.add(static_cast<double>(started->size()));
  starts_.launched(*started);
  for (const Instance& instance : *started) {
    log::info("instance launched", {{"instance", instance.id}, {"app_tier_id", instance.app_tier_id}});
  }
  return {};
}

Result<void> Applier::terminate(const std::vector<InstanceId>& ids, const CallLimits& limits) {
  if (auto told = fleet_.terminate(ids, limits); !told) {
    if (told.error().kind != ErrorKind::cancelled) terminating_.failed(told.error());
    return told;
  }
  terminating_.succeeded();
  terminations_.add(static_cast<double>(ids.size()));
  starts_.told_to_end(ids);
  for (const InstanceId& id : ids) log::info("instance told to end", {{"instance", id}});
  return {};
}

}  // namespace imgrec
