#include "roles/controller/controller.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <memory>
#include <optional>
#include <thread>
#include <tuple>

#include "lib/base/log.hpp"
#include "lib/job/service_status.hpp"
#include "lib/job/worker_start.hpp"
#include "roles/controller/apply.hpp"
#include "roles/controller/drainer.hpp"
#include "roles/controller/leadership.hpp"
#include "roles/controller/observe.hpp"
#include "roles/controller/policy/policy.hpp"
#include "roles/controller/round.hpp"
#include "roles/controller/signal_listener.hpp"
#include "roles/controller/start_failures.hpp"
#include "roles/controller/status_book.hpp"

namespace imgrec {
namespace {

// Two calls that wait for signals and one that reads the queue's counts, each 40 s, are 195,000 a month.
constexpr Millis kIdlePause{40'000};
constexpr int kIdleFactor = 8;       // of the interval, where that is short
constexpr Millis kNewsPause{1'000};  // between two looks, whatever the news

constexpr Millis kRoundMax{60'000};  // of all calls of a round: an EC2 launch may take half of it

constexpr Millis kRecallMax{5'000};

constexpr Millis kLastLookMax{3'000};  // at the end: SIGTERM is obeyed in seconds
constexpr std::size_t kInstancesNamedMax = 20;

constexpr std::uint64_t kStartDocumentBytesMax = 16 * kKiB;

constexpr std::array kSeries = {"visible", "in_flight", "delayed", "pending", "running", "stopping", "wanted"};

DecisionRecord::Seen seen_in(const Observation& observation) {
  const auto count = [&](InstanceState state) {
    return static_cast<int>(std::ranges::count(observation.instances, state, &Instance::state));
  };
  return {.visible = observation.depth.visible,
          .in_flight = observation.depth.in_flight,
          .delayed = observation.depth.delayed,
          .oldest_age = observation.depth.oldest_age,
          .pending = count(InstanceState::pending),
          .running = count(InstanceState::running),
          .stopping = count(InstanceState::stopping)};
}

std::unique_ptr<Drainer> make_drainer(const ControllerConfig& config, const ControllerPorts& ports) {
  // A dry run must not take back what another controller asked for.
  if (ports.queues == nullptr || config.drain_timeout <= Millis(0) || config.dry_run || ports.fleet_sizes_itself) {
    return nullptr;
  }
  return std::make_unique<Drainer>(*ports.queues, ports.clock, ports.rng, ports.metrics,
                                   DrainerOptions{.requests = ports.shutdown_requests,
                                                  .confirmations = ports.shutdown_confirmations,
                                                  .timeout = config.drain_timeout});
}

class Controller {
 public:
  /// leadership: null: nobody else is there to lead.
  Controller(const ControllerConfig& config, const ControllerPorts& ports, Policy policy, Leadership* leadership)
      : config_(config),
        ports_(ports),
        observer_(ports.requests, ports.fleet, ports.clock, ports.metrics),
        drainer_(make_drainer(config, ports)),
        starts_({.started_after = config.started_after,
                 .pause_min = config.start_pause_min,
                 .pause_max = config.start_pause_max}),
        reaper_(reap_rules(config)),
        round_(policy, scaling_rules(config), starts_),
        applier_({.fleet = ports.fleet,
                  .clock = ports.clock,
                  .rng = ports.rng,
                  .metrics = ports.metrics,
                  .starts = starts_,
                  .reaper = &reaper_,
                  .drainer = drainer_.get(),
                  .leadership = leadership}),
        listener_(ports.signals, ports.clock),
        status_(config, random_hex(ports.rng, 4), ports.signals != nullptr),
        start_failures_(ports.metrics.counter("imgrec_controller_start_failures_total",
                                              "Rounds in which instances had ended right after their start.")),
        wanted_(std::make_shared<std::atomic<double>>(kUnknown)),
        blind_(ports.metrics.counter("imgrec_controller_failed_observations_total", "Rounds without a decision.")) {
    ports.metrics.gauge("imgrec_instances_wanted", "Instances that the policy wants pending or running.",
                        [wanted = wanted_] { return wanted->load(); });
  }

  /// Takes over what the controller before this one measured and a look cannot tell.
  void recall(const std::stop_token& stop);

  /// One round; a stop ends the calls of it.
  void step(const std::stop_token& stop);

  /// Until the next round is due.
  void pause(const std::stop_token& stop);

 private:
  using Summary = std::tuple<int, int, int, int, std::size_t>;  // wanted, take back, launch, ask, terminate

  void tell_start_failures(int failures_before, const CallLimits& limits);
  std::string start_failure_reason(const CallLimits& limits) const;
  void explain(const DecisionRecord& record);
  void remember(const Observation* observation, DecisionRecord record);

  const ControllerConfig& config_;
  const ControllerPorts& ports_;
  Observer observer_;
  std::unique_ptr<Drainer> drainer_;  // before applier_, which uses it
  StartFailures starts_;  // before round_, which tells it what is there, and applier_, which tells it what was launched
  Reaper reaper_;
  Round round_;
  Applier applier_;
  SignalListener listener_;
  StatusBook status_;
  bool nothing_to_do_ = false;  // in the latest round, and not before the next message
  Metrics::Counter& start_failures_;
  bool start_trouble_told_ = false;
  std::shared_ptr<std::atomic<double>> wanted_;  // shared with the gauge, which may be read after the controller's end
  Metrics::Counter& blind_;
  std::optional<Summary> explained_;
};

void Controller::recall(const std::stop_token& stop) {
  if (ports_.results == nullptr) return;
  const auto object =
      ports_.results->get(service_status_key(), kServiceStatusBytesMax, {Deadline::in(ports_.clock, kRecallMax), stop});
  if (!object && (object.error().kind == ErrorKind::not_found || object.error().kind == ErrorKind::cancelled)) return;
  const auto status = object ? parse_service_status(object->bytes) : fail(object.error());
  if (!status) {
    log::warning(
        "what the controller before this one measured is not known: boots are taken to last as the settings say",
        {{"error", describe(status.error())}});
    return;
  }
  std::vector<ImageBoots> boots;
  for (const BootStatus& one : status->boots) {
    ImageBoots& added = boots.emplace_back(ImageBoots{.image = one.image, .times = {}});
    for (const double time_s : one.times_s) added.times.emplace_back(std::llround(time_s * 1000));
  }
  listener_.book().recall_boots(std::move(boots));
}

void Controller::step(const std::stop_token& stop) {
  const CallLimits limits(Deadline::in(ports_.clock, kRoundMax), stop);
  DecisionRecord record{.at = ports_.clock.wall_now(), .dry_run = config_.dry_run || ports_.fleet_sizes_itself};
  nothing_to_do_ = false;
  auto observation = observer_.observe(limits);
  if (observation && drainer_) observation->drains = drainer_->observe(observation->instances, limits);
  if (stop.stop_requested()) return;
  if (!observation) {
    round_.not_observed();
    *wanted_ = kUnknown;
    blind_.add();
    record.why = "nothing is decided on what could not be read";
    record.error = observation.error().message;
    return remember(nullptr, std::move(record));
  }
  observation->signals = listener_.book().read(observation->at, observation->instances);
  observation->signals.unread_at = listener_.unread_at();
  observation->reaped = reaper_.observe(*observation);
  for (const std::string& finding : reaper_.findings()) log::warning("an instance is of no use", {{"why", finding}});
  const int start_failures_before = starts_.total();
  const auto [decision, actions] = round_.decide(*observation);
  tell_start_failures(start_failures_before, limits);
  nothing_to_do_ = count_messages(observation->depth) == 0 && actions.empty() &&
                   (decision.settled || (observation->instances.empty() && decision.wanted == 0));
  *wanted_ = decision.wanted;
  record.seen = seen_in(*observation);
  record.wanted = decision.wanted;
  record.actions = {.take_back = actions.take_back,
                    .launch = actions.launch,
                    .ask = actions.ask,
                    .terminate = static_cast<int>(actions.terminate.size())};
  record.why = decision.why + (actions.note.empty() ? "" : "; " + actions.note);
  explain(record);
  if (!config_.dry_run && !ports_.fleet_sizes_itself) {
    if (const auto applied = applier_.apply(actions, limits); !applied) record.error = applied.error().message;
  }
  remember(&*observation, std::move(record));
}

void Controller::pause(const std::stop_token& stop) {
  const MonoTime now = ports_.clock.mono_now();
  // The next image will be told. Should its signal be lost, the queue's counts tell of it at the end of this pause.
  const bool sleeps = nothing_to_do_ && listener_.book().hears_web_nodes();
  const Millis pause =
      sleeps ? std::max(config_.interval, std::min(kIdlePause, kIdleFactor * config_.interval)) : config_.interval;
  listener_.pause(now + std::min(config_.interval, kNewsPause), now + pause, stop);
}

void Controller::tell_start_failures(int failures_before, const CallLimits& limits) {
  start_failures_.add(starts_.total() - failures_before);
  const bool trouble = starts_.in_a_row() > 1;
  if (trouble && !start_trouble_told_) {
    log::error("instances end right after their start: the next ones wait, longer after each failure",
               {{"why", start_failure_reason(limits)}, {"pause_max_ms", config_.start_pause_max.count()}});
  } else if (!trouble && start_trouble_told_) {
    log::info("instances start again");
  }
  start_trouble_told_ = trouble;
}

std::string Controller::start_failure_reason(const CallLimits& limits) const {
  constexpr auto kLookElsewhere = "the instances' own logs say why";
  if (ports_.results == nullptr) return kLookElsewhere;
  const auto document = ports_.results->get(worker_start_key(), kStartDocumentBytesMax, limits);
  if (!document) return kLookElsewhere;
  const auto failure = parse_worker_start(document->bytes);
  return failure ? failure->detail : kLookElsewhere;
}

// A line for a person when something changes, not one each second.
void Controller::explain(const DecisionRecord& record) {
  const Summary summary{*record.wanted, record.actions.take_back, record.actions.launch, record.actions.ask,
                        record.actions.terminate};
  const auto level = explained_ == summary ? log::Level::debug : log::Level::info;
  explained_ = summary;
  log::write(level,
             config_.dry_run             ? "scaling (dry run)"
             : ports_.fleet_sizes_itself ? "scaling (by the group's alarms)"
                                         : "scaling",
             {{"wanted", *record.wanted},
              {"take_back", record.actions.take_back},
              {"launch", record.actions.launch},
              {"ask_to_stop", record.actions.ask},
              {"terminate", record.actions.terminate},
              {"why", record.why},
              {"visible", record.seen->visible},
              {"in_flight", record.seen->in_flight},
              {"delayed", record.seen->delayed},
              {"instances", record.seen->pending + record.seen->running + record.seen->stopping}});
}

void Controller::remember(const Observation* observation, DecisionRecord record) {
  // A dry run may be beside the controller that acts.
  if (ports_.status != nullptr && !config_.dry_run) ports_.status->offer(status_.add(observation, record));
  std::array<double, kSeries.size()> values;
  values.fill(kUnknown);
  if (record.seen) {
    const DecisionRecord::Seen& seen = *record.seen;
    values = {static_cast<double>(seen.visible),  static_cast<double>(seen.in_flight),
              static_cast<double>(seen.delayed),  static_cast<double>(seen.pending),
              static_cast<double>(seen.running),  static_cast<double>(seen.stopping),
              static_cast<double>(*record.wanted)};
  }
  ports_.series.record(record.at, values);
  ports_.decisions.record(std::move(record));
}

// A controller that ends leaves its instances to the next one. Who ends it for good has to know what goes on costing.
void tell_what_is_left(const ControllerPorts& ports) {
  const auto there = ports.fleet.describe({Deadline::in(ports.clock, kLastLookMax), {}});
  if (!there) {
    log::warning("the controller ends, and which instances go on running could not be read",
                 {{"error", there.error().message}, {"to_end_them", ports.how_to_end}});
    return;
  }
  std::string ids;
  std::size_t count = 0;
  for (const Instance& instance : *there) {
    if (instance.state == InstanceState::stopping) continue;
    if (count++ < kInstancesNamedMax) ids += (ids.empty() ? "" : " ") + instance.id.str();
  }
  if (count == 0) return;
  if (count > kInstancesNamedMax) ids += " …";
  log::warning("the controller ends, and its instances go on running: the next controller takes them over",
               {{"count", count}, {"instances", ids}, {"to_end_them", ports.how_to_end}});
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
  if (config.max_dollars_per_hour > 0 && config.dearest_price() <= 0) {
    return bad(
        "controller.max_dollars_per_hour needs controller.prices or controller.price: what a worker machine costs an "
        "hour.");
  }
  if (config.max_dollars_per_hour > 0 && instance_limit(scaling_rules(config)) < 1) {
    return bad(
        "controller.max_dollars_per_hour is less than the dearest worker machine costs (controller.prices, "
        "controller.price): raise it.");
  }
  return {};
}

// Stands by, leads, and stands by again when another one leads. Returns whether it led at its end.
bool lead_in_turn(const ControllerConfig& config, const ControllerPorts& ports,
                  const std::function<void(Leadership*, const std::stop_token&)>& lead, const std::stop_token& stop) {
  LeadershipOptions options{.length = config.lease,
                            .holder = ports.name,
                            .fleet = ports.fleet_name,
                            .launches_kept = ports.fleet.shown_within()};
  if (ports.is_gone) options.is_gone = ports.is_gone;
  Leadership leadership(*ports.leases, ports.clock, ports.rng, ports.metrics, std::move(options));
  while (leadership.wait_to_lead(stop)) {
    std::stop_source over;  // this term: stopped from outside, or lost
    const std::stop_callback on_stop(stop, [&] { over.request_stop(); });
    {
      const std::jthread renewing(
          [&](const std::stop_token& ended) { leadership.keep_renewing([&] { over.request_stop(); }, ended); });
      lead(&leadership, over.get_token());
    }
    if (stop.stop_requested()) {
      leadership.release();
      return true;
    }
  }
  return false;
}

}  // namespace

std::vector<std::string> controller_series() {
  return {kSeries.begin(), kSeries.end()};
}

Result<void> run_controller(const ControllerConfig& config, ControllerPorts ports, std::stop_token stop) {
  if (auto checked = check(config); !checked) return checked;
  const auto policy = find_policy(config.policy);
  if (!policy) return fail(policy.error());
  log::info("controller ready", {{"policy", config.policy},
                                 {"min", config.min},
                                 {"max", config.max},
                                 {"interval_ms", config.interval.count()},
                                 {"dry_run", config.dry_run}});
  const auto lead = [&](Leadership* leadership, const std::stop_token& over) {
    Controller controller(config, ports, policy->decide, leadership);
    controller.recall(over);
    while (!over.stop_requested()) {
      controller.step(over);
      controller.pause(over);
    }
  };
  if (ports.leases == nullptr || config.lease <= Millis(0) || config.dry_run) {
    lead(nullptr, stop);
  } else if (!lead_in_turn(config, ports, lead, stop)) {
    return {};  // another one leads its instances
  }
  if (!ports.how_to_end.empty()) tell_what_is_left(ports);
  return {};
}

}  // namespace imgrec
