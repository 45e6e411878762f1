// On one machine: an embedded queue, a folder, child processes.
#include <filesystem>
#include <optional>

#include "cmd/platform/platforms.hpp"
#include "cmd/platform/resolve.hpp"
#include "lib/base/log.hpp"
#include "lib/local/dir_store.hpp"
#include "lib/local/process_fleet.hpp"
#include "lib/local/sqlite_queue.hpp"

namespace imgrec {
namespace {

SqliteQueueRules queue_rules(const QueueConfig& queue) {
  return {[queue](const std::string& name) -> std::optional<SqliteQueueOptions> {
    if (name == queue.request) {
      return SqliteQueueOptions{
          .fifo = queue.fifo, .receives_max = queue.receives_max, .dead_letter = queue.dead_letter};
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

constexpr Millis kReleaseMax{10'000};

// The queues live longer than the fleet.
std::unique_ptr<Fleet> make_local_fleet(const Config& config, SqliteQueues& queues, Clock& clock, Rng& rng) {
  ProcessFleetOptions options;
  options.name = "imgrec";
  options.on_death = [&queues, &clock](pid_t pid, const std::stop_token& stop) {
    const auto released = queues.release_held_by(pid, {Deadline::in(clock, kReleaseMax), stop});
    if (!released) {
      log::warning("what a dead worker held comes back when its lease ends", {{"error", describe(released.error())}});
    } else if (*released > 0) {
      log::info("what a dead worker held is back in the queue", {{"pid", pid}, {"messages", *released}});
    }
  };
  // /proc/self/exe is this very program, also when its file was replaced by an upgrade meanwhile.
  options.executable = config.local.worker_executable.empty() ? "/proc/self/exe" : config.local.worker_executable;
  options.arguments = {"worker"};
  options.environment = worker_environment(config);
  options.instances_max = config.controller.max;
  options.stop_timeout = config.worker.drain_timeout + Seconds(5);
  return make_process_fleet(std::move(options), clock, rng);
}

}  // namespace

Result<Platform> make_local_platform(const Config& config, Clock& clock, Rng& rng) {
  if (auto made = make_state_dir(config); !made) return fail(made.error());
  const std::filesystem::path state_dir = config.state_dir;
  auto queues = open_sqlite_queues(state_dir / "queue.sqlite", queue_rules(config.queue), clock, rng);
  if (!queues) return fail(queues.error());
  Platform platform;
  SqliteQueues* const held_in = queues->get();
  platform.remove_unread = [unread_in = held_in](WallTime before, std::uint64_t count_max) {
    return unread_in->remove_unread(before, count_max);
  };
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
  platform.worker_metrics_dir = worker_metrics_dir(config);
  platform.place = "all in " + config.state_dir;
  platform.make_fleet = [config, held_in, &clock, &rng]() -> Result<std::unique_ptr<Fleet>> {
    return make_local_fleet(config, *held_in, clock, rng);
  };
  return platform;
}

}  // namespace imgrec
