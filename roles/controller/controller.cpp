#include "roles/controller/controller.hpp"

#include <atomic>
#include <limits>
#include <memory>
#include <optional>
#include <tuple>

#include "lib/base/ids.hpp"
#include "lib/base/log.hpp"
#include "lib/base/outage_log.hpp"
#include "roles/controller/policy/policy.hpp"

namespace imgrec {
namespace {

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

/// Shared with the gauges, which may be read after the controller's end. NaN: could not be read.
struct Gauges {
  std::atomic<double> visible{kUnknown}, in_flight{kUnknown}, delayed{kUnknown}, oldest_age_s{kUnknown};
  std::atomic<double> pending{kUnknown}, running{kUnknown}, stopping{kUnknown}, wanted{kUnknown};
};

std::shared_ptr<Gauges> make_gauges(Metrics& metrics) {
  auto gauges = std::make_shared<Gauges>();
  const auto add = [&](const char* name, const char* help, std::atomic<double> Gauges::* value,
                       const MetricLabels& labels) {
    metrics.gauge(name, help, [gauges, value] { return ((*gauges).*value).load(); }, labels);
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
  add("imgrec_instances_wanted", "Instances that the policy wants pending or running.", &Gauges::wanted, {});
  return gauges;
}

class Controller {
 public:
  Controller(const ControllerConfig& config, const ControllerPorts& ports, Policy policy)
      : config_(config),
        ports_(ports),
        policy_(policy),
        rules_{.min = config.min, .max = config.max, .idle_cooldown = config.idle_cooldown},
        gauges_(make_gauges(ports.metrics)),
        launches_(ports.metrics.counter("imgrec_controller_launches_total", "Instances launched.")),
        terminations_(ports.metrics.counter("imgrec_controller_terminations_total", "Instances told to end.")),
        blind_(ports.metrics.counter("imgrec_controller_failed_observations_total", "Rounds without a decision.")),
        reading_("reading the request queue's depth", ports.clock),
        describing_("describing the fleet", ports.clock),
        launching_("launching instances", ports.clock),
        terminating_("terminating instances", ports.clock) {}

  void step();

 private:
  struct Launch {
    LaunchToken token;
    int count = 0;
  };
  using Summary = std::tuple<int, int, std::size_t>;  // wanted, launch, terminate

  Result<Observation> observe();
  void explain(const Observation& observation, const Decision& decision);
  void apply(const Decision& decision);
  void launch(int count);
  void terminate(const std::vector<InstanceId>& ids);

  const ControllerConfig& config_;
  const ControllerPorts& ports_;
  const Policy policy_;
  const ScalingRules rules_;
  PolicyState state_;
  std::shared_ptr<Gauges> gauges_;
  Metrics::Counter& launches_;
  Metrics::Counter& terminations_;
  Metrics::Counter& blind_;
  OutageLog reading_, describing_, launching_, terminating_;
  std::optional<Launch> unknown_;  // a launch of which the answer was lost
  std::optional<Summary> explained_;
};

void Controller::step() {
  const auto observation = observe();
  if (!observation) {
    // Nothing is known about this round: neither a reason to launch nor a part of "the queue stayed empty".
    state_ = {};
    gauges_->wanted = kUnknown;
    blind_.add();
    return;
  }
  const Decision decision = policy_(*observation, state_, rules_);
  gauges_->wanted = decision.wanted;
  explain(*observation, decision);
  if (!config_.dry_run) apply(decision);
}

Result<Observation> Controller::observe() {
  Observation observation;
  auto depth = ports_.requests.depth();
  gauges_->visible = depth ? static_cast<double>(depth->visible) : kUnknown;
  gauges_->in_flight = depth ? static_cast<double>(depth->in_flight) : kUnknown;
  gauges_->delayed = depth ? static_cast<double>(depth->delayed) : kUnknown;
  gauges_->oldest_age_s = depth ? static_cast<double>(depth->oldest_age.count()) / 1000 : kUnknown;
  if (depth)
    reading_.succeeded();
  else
    reading_.failed(depth.error());

  auto instances = ports_.fleet.describe();
  const auto count = [&](InstanceState state) {
    if (!instances) return kUnknown;
    double found = 0;
    for (const Instance& instance : *instances) found += instance.state == state ? 1 : 0;
    return found;
  };
  gauges_->pending = count(InstanceState::pending);
  gauges_->running = count(InstanceState::running);
  gauges_->stopping = count(InstanceState::stopping);
  if (instances)
    describing_.succeeded();
  else
    describing_.failed(instances.error());

  if (!depth) return fail(depth.error());
  if (!instances) return fail(instances.error());
  observation.at = ports_.clock.mono_now();
  observation.depth = *depth;
  observation.instances = *std::move(instances);
  return observation;
}

// A line for a person when something changes, not one each second.
void Controller::explain(const Observation& observation, const Decision& decision) {
  const Summary summary{decision.wanted, decision.launch, decision.terminate.size()};
  const auto level = explained_ == summary ? log::Level::debug : log::Level::info;
  explained_ = summary;
  log::write(level, config_.dry_run ? "scaling (dry run)" : "scaling",
             {{"wanted", decision.wanted},
              {"launch", decision.launch},
              {"terminate", decision.terminate.size()},
              {"why", decision.why},
              {"visible", observation.depth.visible},
              {"in_flight", observation.depth.in_flight},
              {"delayed", observation.depth.delayed},
              {"instances", observation.instances.size()}});
}

void Controller::apply(const Decision& decision) {
  if (decision.launch > 0) {
    launch(decision.launch);
  } else {
    unknown_.reset();  // what was launched is seen, or not wanted any more
  }
  if (!decision.terminate.empty()) terminate(decision.terminate);
}

void Controller::launch(int count) {
  // An earlier launch may have happened although its answer was lost: the same token then launches nothing more. When
  // fewer are missing now, it has happened in part, or other instances are wanted: that is another launch.
  Launch launch{LaunchToken(random_hex(ports_.rng, 16)), count};
  if (unknown_ && unknown_->count <= count) launch = *unknown_;
  unknown_.reset();
  const auto started = ports_.fleet.launch({.count = launch.count, .token = launch.token});
  if (!started) {
    launching_.failed(started.error());
    if (started.error().kind == ErrorKind::transient) unknown_ = launch;
    return;
  }
  launching_.succeeded();
  launches_.add(static_cast<double>(started->size()));
  for (const Instance& instance : *started) {
    log::info("instance launched", {{"instance", instance.id}, {"app_tier_id", instance.app_tier_id}});
  }
}

void Controller::terminate(const std::vector<InstanceId>& ids) {
  if (const auto told = ports_.fleet.terminate(ids); !told) {
    terminating_.failed(told.error());
    return;
  }
  terminating_.succeeded();
  terminations_.add(static_cast<double>(ids.size()));
  for (const InstanceId& id : ids) log::info("instance told to end", {{"instance", id}});
}

Result<void> check(const ControllerConfig& config) {
  const auto bad = [](std::string what) { return fail(ErrorKind::invalid, "bad_scaling_rules", std::move(what)); };
  if (config.min < 0) return bad("controller.min is 0 or more, not " + std::to_string(config.min) + ".");
  if (config.max < 1) return bad("controller.max is 1 or more, not " + std::to_string(config.max) + ".");
  if (config.min > config.max) {
    return bad("controller.min (" + std::to_string(config.min) + ") is more than controller.max (" +
               std::to_string(config.max) + ").");
  }
  if (config.interval < Millis(10)) return bad("controller.interval is 10 ms or more.");
  if (config.idle_cooldown < Millis(0)) return bad("controller.idle_cooldown is 0 or more.");
  return {};
}

}  // namespace

Result<void> run_controller(const ControllerConfig& config, ControllerPorts ports, std::stop_token stop) {
  if (auto checked = check(config); !checked) return checked;
  const auto policy = find_policy(config.policy);
  if (!policy) return fail(policy.error());
  log::info("controller ready", {{"policy", config.policy},
                                 {"min", config.min},
                                 {"max", config.max},
                                 {"interval_ms", config.interval.count()},
                                 {"dry_run", config.dry_run}});
  Controller controller(config, ports, *policy);
  while (!stop.stop_requested()) {
    controller.step();
    ports.clock.sleep_for(config.interval, stop);
  }
  return {};
}

}  // namespace imgrec
