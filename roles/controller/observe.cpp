#include "roles/controller/observe.hpp"

#include <algorithm>
#include <atomic>
#include <utility>

#include "lib/telemetry/time_series.hpp"

namespace imgrec {
namespace {

// A call that a stop ended says nothing about what was called.
void tell(OutageLog& log, const auto& outcome) {
  if (outcome) {
    log.succeeded();
  } else if (outcome.error().kind != ErrorKind::cancelled) {
    log.failed(outcome.error());
  }
}

}  // namespace

struct Observer::Gauges {
  std::atomic<double> visible{kUnknown}, in_flight{kUnknown}, delayed{kUnknown}, oldest_age_s{kUnknown};
  std::atomic<double> pending{kUnknown}, running{kUnknown}, stopping{kUnknown};
};

Observer::Observer(MessageQueue& requests, Fleet& fleet, Clock& clock, Metrics& metrics)
    : requests_(requests),
      fleet_(fleet),
      clock_(clock),
      gauges_(std::make_shared<Gauges>()),
      reading_("reading the request queue's depth", clock),
      describing_("describing the fleet", clock) {
  const auto add = [&](const char* name, const char* help, std::atomic<double> Gauges::* value,
                       const MetricLabels& labels) {
    metrics.gauge(name, help, [gauges = gauges_, value] { return ((*gauges).*value).load(); }, labels);
  };
  constexpr auto kDepth = "imgrec_queue_messages";
  constexpr auto kDepthHelp = "Messages of the request queue, as the controller saw them last.";
  add(kDepth, kDepthHelp, &Gauges::visible, {{"state", "visible"}});
  add(kDepth, kDepthHelp, &Gauges::in_flight, {{"state", "in_flight"}});
  add(kDepth, kDepthHelp, &Gauges::delayed, {{"state", "delayed"}});
  add("imgrec_queue_oldest_age_seconds", "Age of the oldest request.", &Gauges::oldest_age_s, {});
  constexpr auto kInstances = "imgrec_instances";
  constexpr auto kInstancesHelp = "Worker instances, as the controller saw them last.";
  add(kInstances, kInstancesHelp, &Gauges::pending, {{"state", "pending"}});
  add(kInstances, kInstancesHelp, &Gauges::running, {{"state", "running"}});
  add(kInstances, kInstancesHelp, &Gauges::stopping, {{"state", "stopping"}});
}

Result<Observation> Observer::observe(const CallLimits& limits) {
  auto depth = requests_.depth(limits);
  gauges_->visible = depth ? static_cast<double>(depth->visible) : kUnknown;
  gauges_->in_flight = depth ? static_cast<double>(depth->in_flight) : kUnknown;
  gauges_->delayed = depth ? static_cast<double>(depth->delayed) : kUnknown;
  gauges_->oldest_age_s =
      depth && depth->oldest_age ? static_cast<double>(depth->oldest_age->count()) / 1000 : kUnknown;
  tell(reading_, depth);

  auto instances = fleet_.describe(limits);
  const auto count = [&](InstanceState state) {
    return instances ? static_cast<double>(std::ranges::count(*instances, state, &Instance::state)) : kUnknown;
  };
  gauges_->pending = count(InstanceState::pending);
  gauges_->running = count(InstanceState::running);
  gauges_->stopping = count(InstanceState::stopping);
  tell(describing_, instances);

  if (!depth) return fail(depth.error());
  if (!instances) return fail(instances.error());
  return Observation{
      .at = clock_.mono_now(), .depth = *depth, .instances = *std::move(instances), .wall = clock_.wall_now()};
}

}  // namespace imgrec
