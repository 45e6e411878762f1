// On one machine: an embedded queue, a folder, child processes.
#include <filesystem>
#include <memory>
#include <optional>

#include "cmd/platform/platforms.hpp"
#include "cmd/platform/resolve.hpp"
#include "lib/base/log.hpp"
#include "lib/local/dir_store.hpp"
#include "lib/local/folder_reader.hpp"
#include "lib/local/liveness.hpp"
#include "lib/local/process_fleet.hpp"
#include "lib/local/sqlite_queue.hpp"
#include "lib/queues/queues.hpp"

namespace imgrec {
namespace {

SqliteQueueRules queue_rules(const Config& config) {
  return {[config](const std::string& name) -> std::optional<SqliteQueueOptions> {
    const auto row = find_queue(config, name);
    if (!row) return std::nullopt;
    return SqliteQueueOptions{.fifo = row->fifo,
                              .receives_max = row->receives_max,
                              .dead_letter = row->dead_letter,
                              .survives_power_cut = row->survives_power_cut};
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
  options.boot_delay = config.local.boot_delay;
  options.stop_timeout = config.worker.drain_timeout + Seconds(5);
  return make_process_fleet(std::move(options), clock, rng);
}

}  // namespace

Result<Platform> make_local_platform(const Config& config, Clock& clock, Rng& rng) {
  if (auto made = make_state_dir(config); !made) return fail(made.error());
  const std::filesystem::path state_dir = config.state_dir;
  auto queues = open_sqlite_queues(state_dir / "queue.sqlite", queue_rules(config), clock, rng);
  if (!queues) return fail(queues.error());
  Platform platform;
  SqliteQueues* const held_in = queues->get();
  platform.remove_unread = [unread_in = held_in](WallTime before, std::uint64_t count_max) {
    return unread_in->remove_unread(before, count_max);
  };
  platform.queues = std::move(*queues);
  auto requests = platform.queues->open(queue_name(config, QueueKind::requests));
  if (!requests) return fail(requests.error());
  auto dead_letters = platform.queues->open(queue_name(config, QueueKind::dead_letters));
  if (!dead_letters) return fail(dead_letters.error());
  auto store = open_dir_store(state_dir / "objects");
  if (!store) return fail(store.error());
  platform.requests = *requests;
  platform.dead_letters = *dead_letters;
  platform.signals = open_signals(*platform.queues, config);
  platform.inputs = platform.outputs = std::move(*store);
  platform.objects = make_folder_reader(state_dir / "buckets");
  platform.input_bucket = "inputs";
  platform.worker_metrics_dir = worker_metrics_dir(config);
  platform.place = "all in " + config.state_dir;
  platform.make_fleet = [config, held_in, &clock, &rng]() -> Result<std::unique_ptr<Fleet>> {
    return make_local_fleet(config, *held_in, clock, rng);
  };
  platform.enter_as_controller = [file = state_dir / "controllers.lock"](
                                     const std::string& name) -> Result<std::function<bool(const std::string& name)>> {
    auto entered = Liveness::enter(file, name);
    if (!entered) return fail(entered.error());
    return [known = std::make_shared<Liveness>(*std::move(entered))](const std::string& other) {
      return known->is_gone(other);
    };
  };
  return platform;
}

}  // namespace imgrec
