// imgrec controller
#include "roles/controller/controller.hpp"

#include "cmd/cli/exit_code.hpp"
#include "cmd/cli/service_manager.hpp"
#include "cmd/cli/signals.hpp"
#include "cmd/commands/commands.hpp"
#include "cmd/commands/controlling.hpp"
#include "cmd/commands/process_metrics.hpp"
#include "cmd/platform/platform.hpp"
#include "lib/base/open_files.hpp"
#include "lib/config/settings_deploy.hpp"
#include "roles/controller/policy/policy.hpp"
#include "roles/controller/round.hpp"

namespace imgrec {

namespace {

int run_controller_command(const Config& config) {
  const int workers_max = instance_limit(scaling_rules(config.controller));
  if (auto checked = check_cost_limit(config, workers_max); !checked) return report(checked.error());
  if (auto checked = check_alarms(config); !checked) return report(checked.error());
  ignore_sigpipe();
  raise_open_files_limit();
  Interrupts interrupts;
  auto platform =
      make_platform(config, system_clock(), system_rng(), {.make_stores = false, .stop = interrupts.token()});
  if (!platform) return report(platform.error(), interrupts);
  auto fleet = platform->make_fleet();
  if (!fleet) return report(fleet.error());
  ControllerTelemetry told(config.metrics);
  const ChildrenShown children(config, *platform, told.metrics);
  const auto listener = listen_for_metrics(config.metrics, told.metrics, &told.decisions);
  if (!listener) return report(listener.error());
  const auto status = make_status_publisher(config.controller, *platform->outputs);
  auto ports = controller_ports(config, *platform, **fleet, told);
  if (!ports) return report(ports.error());
  ports->status = status.get();
  tell_service_manager("READY=1");
  const auto controlled = run_controller(config.controller, *std::move(ports), interrupts.token());
  if (!controlled) return report(controlled.error());
  return exit_code(interrupts);
}

}  // namespace

Command controller_command() {
  return {.name = "controller",
          .summary = "Watch the queue; start and stop workers as demand moves",
          .settings = kControllerCommand,
          .examples = {{"imgrec controller --max-workers 4", "beside `imgrec web`, on the same state folder"},
                       {"imgrec controller --config aws.toml",
                        "on two machines: one leads, the other takes over when it is gone"},
                       {"imgrec controller --dry-run", "log what it would do"}},
          .notes = kRoleNotes,
          .run = [](const Invocation& call) { return run_controller_command(call.config()); }};
}

}  // namespace imgrec
