// Child processes as worker machines; semantics as in lib/ports/fleet.hpp.
//
// A child is `executable arguments…` with the given environment. It holds the read end of a pipe as descriptor
// IMGREC_PARENT_FD (lib/local/child_guard.hpp): when the parent is gone, however it ended, the child drains and is gone
// within 5 s. It tells that it works by writing one byte to descriptor IMGREC_READY_FD.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "lib/base/clock.hpp"
#include "lib/base/duration_range.hpp"
#include "lib/base/rng.hpp"
#include "lib/ports/fleet.hpp"

namespace imgrec {

struct ProcessFleetOptions {
  std::filesystem::path executable;
  std::string name{};                                            // argv[0], for `ps`; empty: the executable
  std::vector<std::string> arguments;                            // after argv[0]; never a secret
  std::vector<std::pair<std::string, std::string>> environment;  // added to this process's own
  int instances_max = 1;
  Millis stop_timeout{35'000};  // from terminate() to SIGKILL
  DurationRange boot_delay{};   // from launch() to the start of the child: the instance is pending meanwhile
  /// Called from a thread of the fleet's when a child has ended without finishing what it held: not with exit status 0.
  std::function<void(pid_t pid, const std::stop_token& stop)> on_death = [](pid_t, const std::stop_token&) {};
};

/// With a boot delay, a child that cannot be started is logged, and its instance is gone: as a machine that fails to
/// boot.
///
/// Each child also gets IMGREC_WORKER_ID and IMGREC_WORKER_APP_TIER_ID. Destroying the fleet terminates its children
/// and waits for them (stop_timeout at most).
std::unique_ptr<Fleet> make_process_fleet(ProcessFleetOptions options, Clock& clock, Rng& rng);

}  // namespace imgrec
