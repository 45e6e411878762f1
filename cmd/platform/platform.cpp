#include "cmd/platform/platform.hpp"

#include "cmd/platform/platforms.hpp"
#include "lib/base/environment.hpp"
#include "lib/base/log.hpp"
#include "lib/config/settings.hpp"
#include "lib/queues/queues.hpp"

namespace imgrec {
namespace {

constexpr char kTunables[] = "GLIBC_TUNABLES";

constexpr PlatformDefault kAwsDefaults[] = {
    {"web.readiness_probe", "1m"},         // three calls each time
    {"controller.max", "2"},               // each costs money
    {"controller.interval", "5s"},         // two calls each time, and EC2 throttles
    {"controller.idle_cooldown", "2m"},    // a machine needs a minute to be there again
    {"controller.drain_timeout", "2m"},    // within which an idle worker looks several times
    {"worker.shutdown_check", "10s"},      // a call each time
    {"worker.orphan_timeout", "15m"},      // its machine costs money
    {"controller.status_interval", "5s"},  // the same
    {"controller.started_after", "2m"},    // a machine runs before its worker does
    {"controller.boot_time", "1m"},        // a stock image that downloads its program
    {"controller.start_pause_min", "30s"},
    {"controller.start_pause_max", "10m"},
};

constexpr Seconds kWarmIdle{1};  // "nothing more is in the queue": one long poll finds nothing

}  // namespace

std::shared_ptr<MessageQueue> open_signals(QueueDirectory& queues, const Config& config, const CallLimits& limits) {
  const std::string name = queue_name(config, QueueKind::signals);
  if (name.empty()) return nullptr;
  auto signals = queues.open(name, limits);
  if (signals) return *std::move(signals);
  if (signals.error().kind != ErrorKind::cancelled) {
    log::warning(
        "the queue of signals cannot be opened: the controller sees the queue's counts alone; imgrec setup makes "
        "it, and configs/iam has the rights for it",
        {{"queue", name}, {"error", describe(signals.error())}});
  }
  return nullptr;
}

Result<Platform> make_platform(const Config& config, Clock& clock, Rng& rng, const PlatformNeeds& needs) {
  if (config.platform == "local") return make_local_platform(config, clock, rng);
  if (config.platform == "aws") return make_aws_platform(config, clock, rng, needs);
  return fail(ErrorKind::invalid, "no_such_platform",
              "There is no platform " + config.platform + ": use --platform=local or --platform=aws.");
}

std::span<const PlatformDefault> platform_defaults(std::string_view platform) {
  if (platform == "aws") return kAwsDefaults;
  return {};
}

void apply_platform_defaults(LoadedConfig& loaded) {
  for (const auto& [key, value] : platform_defaults(loaded.config.platform)) {
    if (loaded.origins.contains(std::string(key))) continue;
    find_setting(key)->set(loaded.config, value);
    loaded.origins[std::string(key)] = "default on " + loaded.config.platform;
  }
}

void set_up_fleet_worker(Config& worker) {
  const bool is_replaced = worker.platform == "aws" && worker.aws.fleet_kind == "asg";
  if (worker.controller.lease <= Millis(0) || is_replaced) worker.worker.orphan_timeout = Seconds(0);
  if (worker.controller.policy != "warm" || is_replaced || worker.worker.exit_when_idle > Seconds(0)) return;
  worker.worker.exit_when_idle = kWarmIdle;
  worker.worker.base_app_tier = "app-tier-1";
}

std::filesystem::path worker_metrics_dir(const Config& config) {
  return std::filesystem::path(config.state_dir) / "metrics";
}

std::vector<std::pair<std::string, std::string>> worker_environment(const Config& config) {
  Config child = config;
  set_up_fleet_worker(child);
  child.worker.threads = config.local.worker_threads;
  child.metrics.port = "off";  // one port cannot be everybody's; the parent shows what they tell
  child.metrics.dir = worker_metrics_dir(config).string();
  // All settings, so that the child's are the parent's whatever file, flags and environment those came from.
  std::vector<std::pair<std::string, std::string>> variables = {{"IMGREC_CONFIG", ""}};
  for (const Setting& setting : settings()) {
    if (setting.key == "worker.id" || setting.key == "worker.app_tier_id") continue;  // the fleet's to give
    variables.emplace_back(setting.environment_name(), setting.get(child));
  }
  // A network's weights and tensors in pages of 2 MiB: the C library asks for them where Linux leaves that to programs
  // (/sys/kernel/mm/transparent_hugepage/enabled: madvise, as on many container hosts). glibc manual, "Memory
  // Allocation Tunables".
  variables.emplace_back(kTunables, environment_variable(kTunables).value_or("glibc.malloc.hugetlb=1"));
  return variables;
}

}  // namespace imgrec
