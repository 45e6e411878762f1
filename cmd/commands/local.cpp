// imgrec local: web and controller in this process, workers as child processes.
#include <cstdio>
#include <filesystem>
#include <optional>
#include <thread>
#include <utility>

#include "cmd/cli/exit_code.hpp"
#include "cmd/cli/service_manager.hpp"
#include "cmd/cli/signals.hpp"
#include "cmd/commands/commands.hpp"
#include "cmd/commands/controlling.hpp"
#include "cmd/commands/process_metrics.hpp"
#include "cmd/commands/serving.hpp"
#include "cmd/files/lock.hpp"
#include "cmd/platform/platform.hpp"
#include "cmd/platform/resolve.hpp"
#include "inference/classifier_factory.hpp"
#include "lib/base/log.hpp"
#include "lib/base/open_files.hpp"
#include "lib/local/janitor.hpp"
#include "roles/controller/controller.hpp"

namespace imgrec {
namespace {

// The last line of the start: for a person, or for a program that reads JSON lines.
void announce(const Config& config, int port) {
  const std::string address = web_address(config, port);
  if (config.log.format == "json") {
    log::info("ready", {{"address", address},
                        {"state_dir", config.state_dir},
                        {"model", config.model.name},
                        {"workers_max", config.controller.max}});
    return;
  }
  std::fprintf(stderr, "imgrec local: %s  model %s, up to %d workers, state in %s (Ctrl-C ends it)\n", address.c_str(),
               config.model.name.c_str(), config.controller.max, config.state_dir.c_str());
}

// Controller and janitor in threads of their own, begun when the page is there and ended after the last client was
// answered: what waits for an answer needs workers.
class Background {
 public:
  Background(const Config& config, Platform& platform, ControllerPorts ports, Interrupts& interrupts)
      : config_(config), platform_(platform), ports_(std::move(ports)), interrupts_(interrupts) {}

  void start() {
    controller_ = std::jthread([this](std::stop_token stop) {
      const auto status = make_status_publisher(config_.controller, *platform_.outputs);
      ControllerPorts ports = ports_;
      ports.status = status.get();
      const auto ended = run_controller(config_.controller, std::move(ports), stop);
      if (!ended) {
        error_ = ended.error();
        interrupts_.stop();
      }
    });
    if (platform_.remove_unread) {
      janitor_ = std::jthread([this](std::stop_token stop) {
        run_janitor(*platform_.inputs, platform_.remove_unread,
                    {.retention = config_.local.retention, .named_prefix = config_.results.prefix}, system_clock(),
                    stop);
      });
    }
  }

  /// Why the controller gave up; nothing when it did not.
  std::optional<Error> stop() {
    janitor_ = {};
    controller_ = {};
    return error_;
  }

 private:
  const Config& config_;
  Platform& platform_;
  const ControllerPorts ports_;
  Interrupts& interrupts_;
  std::optional<Error> error_;
  std::jthread controller_, janitor_;
};

Result<void> check_classifier(const Config& config) {
  const auto usable = make_classifier_factory(classifier_options(config, 1));
  if (!usable) return fail(usable.error());
  return {};
}

int run_local_command(const Config& config) {
  ignore_sigpipe();
  raise_open_files_limit();
  Interrupts interrupts;
  if (auto made = make_state_dir(config); !made) return report(made.error());
  const std::filesystem::path state_dir = config.state_dir;
  auto lock = FileLock::take(state_dir / "local.lock", "Another `imgrec local` runs on " + config.state_dir +
                                                           ": end it, or give this one another --state-dir.");
  if (!lock) return report(lock.error());
  auto platform = make_platform(config, system_clock(), system_rng(), {.stop = interrupts.token()});
  if (!platform) return report(platform.error(), interrupts);
  if (auto usable = check_classifier(config); !usable) return report(usable.error());
  auto node_lock = lock_web_node(config);
  if (!node_lock) return report(node_lock.error());
  auto fleet = platform->make_fleet();
  if (!fleet) return report(fleet.error());
  ControllerTelemetry told(config.metrics);
  const ChildrenShown children(config, *platform, told.metrics);
  const auto listener = listen_for_metrics(config.metrics, told.metrics, &told.decisions);
  if (!listener) return report(listener.error());
  auto ports = controller_ports(config, *platform, **fleet, told);
  if (!ports) return report(ports.error());
  Background background(config, *platform, *std::move(ports), interrupts);
  const auto served = serve_web(config, *platform,
                                {.clock = system_clock(),
                                 .rng = system_rng(),
                                 .metrics = told.metrics,
                                 .on_listening =
                                     [&](int port) {
                                       background.start();
                                       announce(config, port);
                                       tell_service_manager("READY=1");
                                     },
                                 .stop = interrupts.token()});
  const auto controller_error = background.stop();
  fleet->reset();  // ends the workers and waits for them
  if (!served) return report(served.error(), interrupts);
  if (controller_error) return report(*controller_error);
  return exit_code(interrupts);
}

}  // namespace

Command local_command() {
  return {
      .name = "local",
      .summary = "The whole service on this machine: web, controller, and workers as child processes",
      .settings = kLocalCommand,
      .examples = {{"imgrec local", "page and API at http://127.0.0.1:8000, as many workers as cores"},
                   {"imgrec local --port 9000 --max-workers 4 --model efficientnet-lite0", "another port and model"},
                   {"imgrec local --state-dir ~/imgrec --retention 30d", "where everything is kept, and how long"}},
      .notes = kRoleNotes,
      .run = [](const Invocation& call) { return run_local_command(call.config()); }};
}

}  // namespace imgrec
