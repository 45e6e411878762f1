#include "cmd/platform.hpp"

#include <filesystem>
#include <optional>

#include "cmd/resolve.hpp"
#include "lib/config/settings.hpp"
#include "lib/local/dir_store.hpp"
#include "lib/local/process_fleet.hpp"
#include "lib/local/sqlite_queue.hpp"

namespace imgrec {
namespace {

// The worker gives up poison at receives_max and answers for it. This is the backstop for messages at which workers
// die before they can count: the queue itself moves them away a few deliveries later.
constexpr int kReceivesBeyondWorkers = 3;

SqliteQueueRules queue_rules(const QueueConfig& queue) {
  return {[queue](const std::string& name) -> std::optional<SqliteQueueOptions> {
    if (name == queue.request) {
      return SqliteQueueOptions{.fifo = queue.fifo,
                                .receives_max = queue.receives_max + kReceivesBeyondWorkers,
                                .dead_letter = queue.dead_letter};
    }
    // A FIFO queue's dead letters are in a FIFO queue, as SQS wants it.
    if (name == queue.dead_letter) return SqliteQueueOptions{.fifo = queue.fifo, .receives_max = 0, .dead_letter = {}};
    // Whoever waits for a response is gone after a power cut too, and the result is in the store: no wait for the disk.
    if (name.starts_with(queue.response_prefix + "-")) {
      return SqliteQueueOptions{.fifo = queue.fifo, .receives_max = 0, .dead_letter = {}, .survives_power_cut = false};
    }
    return std::nullopt;
  }};
}

std::unique_ptr<Fleet> make_local_fleet(const Config& config, Clock& clock, Rng& rng) {
  ProcessFleetOptions options;
  // /proc/self/exe is this very program, also when its file was replaced by an upgrade meanwhile.
  options.executable = config.local.worker_executable.empty() ? "/proc/self/exe" : config.local.worker_executable;
  options.arguments = {"worker"};
  options.environment = worker_environment(config);
  options.instances_max = config.controller.max;
  options.stop_timeout = config.worker.drain_timeout + Seconds(5);
  return make_process_fleet(std::move(options), clock, rng);
}

Result<Platform> make_local_platform(const Config& config, Clock& clock, Rng& rng) {
  if (auto made = make_state_dir(config); !made) return fail(made.error());
  const std::filesystem::path state_dir = config.state_dir;
  auto queues = open_sqlite_queues(state_dir / "queue.sqlite", queue_rules(config.queue), clock, rng);
  if (!queues) return fail(queues.error());
  Platform platform;
  platform.queues = std::move(*queues);
  auto requests = platform.queues->open(config.queue.request);
  if (!requests) return fail(requests.error());
  auto dead_letters = platform.queues->open(config.queue.dead_letter);
  if (!dead_letters) return fail(dead_letters.error());
  auto store = open_dir_store(state_dir / "objects");
  if (!store) return fail(store.error());
  platform.requests = *requests;
  platform.dead_letters = *dead_letters;
  platform.inputs = platform.outputs = std::move(*store);
  platform.input_bucket = "inputs";
  platform.make_fleet = [config, &clock, &rng]() -> Result<std::unique_ptr<Fleet>> {
    return make_local_fleet(config, clock, rng);
  };
  return platform;
}

}  // namespace

Result<Platform> make_platform(const Config& config, Clock& clock, Rng& rng) {
  if (config.platform == "local") return make_local_platform(config, clock, rng);
  return fail(ErrorKind::invalid, "no_such_platform",
              "The platform " + config.platform + " is not in this build: use --platform=local.");
}

std::string response_queue_name(const Config& config) {
  return config.queue.response_prefix + "-" + config.web.node;
}

std::vector<std::pair<std::string, std::string>> worker_environment(const Config& config) {
  Config child = config;
  child.worker.threads = config.local.worker_threads;
  // All settings, so that the child's are the parent's whatever file, flags and environment those came from.
  std::vector<std::pair<std::string, std::string>> variables = {{"IMGREC_CONFIG", ""}};
  for (const Setting& setting : settings()) {
    if (setting.key == "worker.id" || setting.key == "worker.app_tier_id") continue;  // the fleet's to give
    variables.emplace_back(setting.environment_name(), setting.get(child));
  }
  return variables;
}

}  // namespace imgrec
