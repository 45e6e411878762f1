#include "cmd/commands/controlling.hpp"

#include <unistd.h>

#include <string>

#include "lib/base/ids.hpp"
#include "lib/queues/queues.hpp"

namespace imgrec {
namespace {

// Readable, and no other process's.
std::string process_name() {
  char host[256] = "";
  ::gethostname(host, sizeof host - 1);
  return std::string(host) + ":" + std::to_string(::getpid()) + ":" + random_hex(system_rng(), 8);
}

}  // namespace

Result<ControllerPorts> controller_ports(const Config& config, Platform& platform, Fleet& fleet,
                                         ControllerTelemetry& told) {
  ControllerPorts ports{.requests = *platform.requests,
                        .fleet = fleet,
                        .clock = system_clock(),
                        .rng = system_rng(),
                        .metrics = told.metrics,
                        .decisions = told.decisions,
                        .series = told.series,
                        .results = platform.outputs.get(),
                        .signals = platform.signals.get(),
                        .how_to_end = platform.how_to_end_instances,
                        .queues = platform.queues.get(),
                        .shutdown_requests = queue_name(config, QueueKind::shutdown_requests),
                        .shutdown_confirmations = queue_name(config, QueueKind::shutdown_confirmations),
                        .leases = platform.outputs.get(),
                        .name = process_name(),
                        .fleet_name = platform.fleet_name,
                        .fleet_sizes_itself = config.platform == "aws" && config.deploy.alarms};
  if (platform.enter_as_controller) {
    auto is_gone = platform.enter_as_controller(ports.name);
    if (!is_gone) return fail(is_gone.error());
    ports.is_gone = *std::move(is_gone);
  }
  return ports;
}

}  // namespace imgrec
