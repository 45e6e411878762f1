// Tells systemd how a role fares (units with Type=notify).
#pragma once

#include <string_view>

namespace imgrec {

/// Sends a line of the protocol of sd_notify(3), such as "READY=1" or "STOPPING=1", to the socket that $NOTIFY_SOCKET
/// names. Does nothing where no service manager asked for it. Nobody is told of a failure: the service manager notices
/// the silence, and its time limit says it.
void tell_service_manager(std::string_view state);

}  // namespace imgrec
