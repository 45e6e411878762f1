// What a process that is a controller gives to that role: of `imgrec controller` and `imgrec local`.
#pragma once

#include "cmd/commands/process_metrics.hpp"
#include "cmd/platform/platform.hpp"
#include "roles/controller/controller.hpp"

namespace imgrec {

/// All arguments outlive what is returned. Errors: the state folder's, on one machine.
Result<ControllerPorts> controller_ports(const Config& config, Platform& platform, Fleet& fleet,
                                         ControllerTelemetry& told);

}  // namespace imgrec
