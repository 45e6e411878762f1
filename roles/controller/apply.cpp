#include "roles/controller/apply.hpp"

#include <cassert>

#include "lib/base/ids.hpp"
#include "lib/base/log.hpp"

namespace imgrec {

Applier::Applier(Fleet& fleet, Clock& clock, Rng& rng, Metrics& metrics, StartFailures& starts)
    : fleet_(fleet),
      rng_(rng),
      starts_(starts),
      launches_(metrics.counter("imgrec_controller_launches_total", "Instances launched.")),
      terminations_(metrics.counter("imgrec_controller_terminations_total", "Instances told to end.")),
      launching_("launching instances", clock),
      terminating_("terminating instances", clock) {}

Result<void> Applier::apply(const Actions& actions, const CallLimits& limits) {
  assert(actions.take_back == 0 && actions.ask == 0);
  Result<void> outcome;
  if (actions.launch > 0) {
    outcome = launch(actions.launch, actions.total, limits);
  } else {
    unanswered_.reset();  // what was launched is seen, or not wanted any more
  }
  if (actions.terminate.empty()) return outcome;
  auto ended = terminate(actions.terminate, limits);
  return outcome ? ended : outcome;
}

Result<void> Applier::launch(int count, int total, const CallLimits& limits) {
  // An earlier launch may have happened although its answer was lost: the same token then launches nothing more. When
  // fewer are missing now, it has happened in part, or other instances are wanted: that is another launch.
  Launch launch{LaunchToken(random_hex(rng_, 16)), count};
  if (unanswered_ && unanswered_->count <= count) launch = *unanswered_;
  unanswered_.reset();
  const auto started = fleet_.launch({.count = launch.count, .total = total, .token = launch.token}, limits);
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
