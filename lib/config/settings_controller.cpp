#include "lib/config/settings_controller.hpp"

#include <charconv>

#include "lib/config/setting_kinds.hpp"

namespace imgrec {
namespace {

using namespace setting_kinds;
using std::chrono::days;
using std::chrono::hours;

constexpr unsigned kFleet = kControllerCommand | kLocalCommand;

Setting dollars(const Words& words, auto at) {
  return real(words, at, {"DOLLARS", "a number from 0 to 1000000 (such as 0.0893)", 1e6});
}

Setting prices(const Words& words, auto at) {
  Setting setting = begin(words);
  setting.value_name = "LIST";
  setting.allowed = "instance types and their prices, such as c7i.large=0.0893,c7a.large=0.0821";
  setting.get = [at](const Config& config) { return format_prices(at(config)); };
  setting.set = [at](Config& config, std::string_view text) {
    auto value = parse_prices(text);
    if (!value) return false;
    at(config) = *std::move(value);
    return true;
  };
  return setting;
}

void add_rounds(std::vector<Setting>& all) {
  all.push_back(text({"controller.policy",
                      "scaling policy: slo, backlog, depth, per-batch, warm, drain-pool or alarm",
                      {"--policy"},
                      kFleet},
                     In{&Config::controller, &ControllerConfig::policy}, kFilledWord));
  all.push_back(number({"controller.min", "workers kept when there is nothing to do", {"--min-workers"}, kFleet},
                       In{&Config::controller, &ControllerConfig::min}, {0, 1000}));
  all.push_back(number({"controller.max", "workers at most; 0: usable cores", {"--max-workers"}, kFleet},
                       In{&Config::controller, &ControllerConfig::max}, {0, 1000}));
  all.push_back(duration({"controller.interval", "between two decisions", {"--interval"}, kFleet},
                         In{&Config::controller, &ControllerConfig::interval}, {Millis(10), hours(1)}));
  all.push_back(duration({"controller.idle_cooldown",
                          "the queue has to be empty this long before workers go",
                          {"--idle-cooldown"},
                          kFleet},
                         In{&Config::controller, &ControllerConfig::idle_cooldown}, {Millis(0), days(1)}));
  all.push_back(duration({"controller.status_interval",
                          "the service's status, for the page and /v1/status, is published so often at most; 0: never",
                          {},
                          kFleet},
                         In{&Config::controller, &ControllerConfig::status_interval}, {Millis(0), hours(1)}));
  all.push_back(boolean({"controller.dry_run", "log decisions, apply none", {"--dry-run"}, kFleet},
                        In{&Config::controller, &ControllerConfig::dry_run}));
  all.push_back(duration({"controller.lease",
                          "of several controllers one leads; when it is silent for so long, another one does. 0: there "
                          "is only one",
                          {},
                          kFleet},
                         In{&Config::controller, &ControllerConfig::lease}, {Millis(0), hours(1)}));
  all.push_back(duration({"controller.ready_timeout",
                          "a worker that is not ready so long after its launch is ended; 0: never",
                          {},
                          kFleet},
                         In{&Config::controller, &ControllerConfig::ready_timeout}, {Millis(0), days(1)}));
  all.push_back(duration(
      {"controller.silent_timeout", "a worker whose signals stopped so long ago is ended; 0: never", {}, kFleet},
      In{&Config::controller, &ControllerConfig::silent_timeout}, {Millis(0), days(1)}));
  all.push_back(duration({"controller.started_after",
                          "running for so long a worker machine has started; 0: as soon as it runs",
                          {},
                          kFleet},
                         In{&Config::controller, &ControllerConfig::started_after}, {Millis(0), hours(1)}));
  all.push_back(duration({"controller.start_pause_min",
                          "between launches when workers end right after their start; doubles each time",
                          {},
                          kFleet},
                         In{&Config::controller, &ControllerConfig::start_pause_min}, {Millis(100), hours(1)}));
  all.push_back(
      duration({"controller.drain_timeout",
                "a worker that is too many is asked to stop; when none does in this time, an instance is told to "
                "end instead. 0: they are told to end at once",
                {},
                kFleet},
               In{&Config::controller, &ControllerConfig::drain_timeout}, {Millis(0), hours(1)}));
  all.push_back(duration({"controller.start_pause_max", "the longest of these pauses", {}, kFleet},
                         In{&Config::controller, &ControllerConfig::start_pause_max}, {Millis(100), hours(1)}));
}

void add_rules(std::vector<Setting>& all) {
  all.push_back(duration({"controller.wanted_wait",
                          "an image should be answered within this time (policies slo and backlog)",
                          {"--wanted-wait"},
                          kFleet},
                         In{&Config::controller, &ControllerConfig::wanted_wait}, {Millis(100), hours(12)}));
  all.push_back(duration({"controller.keep_alive",
                          "slo keeps one worker through gaps between images that are mostly no longer than this",
                          {"--keep-alive"},
                          kFleet},
                         In{&Config::controller, &ControllerConfig::keep_alive}, {Millis(0), days(1)}));
  all.push_back(duration(
      {"controller.boot_time", "from a worker's launch to its first image, until this was measured", {}, kFleet},
      In{&Config::controller, &ControllerConfig::boot_time}, {Millis(0), hours(1)}));
  all.push_back(
      duration({"controller.image_time", "of one busy worker for each image, until this was measured", {}, kFleet},
               In{&Config::controller, &ControllerConfig::image_time}, {Millis(1), hours(1)}));
  all.push_back(
      dollars({"controller.price",
               "dollars an hour of a worker machine of a type that controller.prices does not name; 0: nothing",
               {},
               kFleet},
              In{&Config::controller, &ControllerConfig::price}));
  all.push_back(
      prices({"controller.prices", "dollars an hour by instance type: of all types that may be launched", {}, kFleet},
             In{&Config::controller, &ControllerConfig::prices}));
  all.push_back(
      dollars({"controller.max_dollars_per_hour",
               "no more workers than cost this, were they all of the dearest type; 0: no limit but controller.max",
               {"--max-dollars-per-hour"},
               kFleet},
              In{&Config::controller, &ControllerConfig::max_dollars_per_hour}));
}

}  // namespace

void add_controller_settings(std::vector<Setting>& all) {
  add_rounds(all);
  add_rules(all);
}

Result<void> validate_controller(const ControllerConfig& controller) {
  const auto wrong = [](std::string message) { return fail(ErrorKind::invalid, "bad_setting", std::move(message)); };
  if (controller.max != 0 && controller.min > controller.max) {
    return wrong("controller.min (" + std::to_string(controller.min) + ") is above controller.max (" +
                 std::to_string(controller.max) + "): raise --max-workers or lower --min-workers.");
  }
  if (controller.lease > Millis(0) && controller.lease < Seconds(1)) {
    return wrong("controller.lease is 0, or 1s or more.");
  }
  if (controller.silent_timeout > Millis(0) && controller.silent_timeout < Seconds(150)) {
    return wrong("controller.silent_timeout is 0, or 150s or more: workers tell something every minute.");
  }
  return {};
}

}  // namespace imgrec
