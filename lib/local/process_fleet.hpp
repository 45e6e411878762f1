// Child processes as worker machines; semantics as in lib/ports/fleet.hpp.
//
// A child is `executable arguments…` with the given environment. It holds the read end of a pipe as descriptor
// IMGREC_PARENT_FD (lib/local/child_guard.hpp): when the parent is gone, however it ended, the child drains and is gone
// within 5 s. It tells that it works by writing one byte to descriptor IMGREC_READY_FD.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "lib/base/clock.hpp"
#include "lib/base/rng.hpp"
#include "lib/ports/fleet.hpp"

namespace imgrec {

struct ProcessFleetOptions {
  std::filesystem::path executable;
  std::vector<std::string> arguments;                            // after argv[0]; never a secret
  std::vector<std::pair<std::string, std::string>> environment;  // added to this process's own
  int instances_max = 1;
  Millis stop_timeout{35'000};  // from terminate() to SIGKILL
};

/// Each child also gets IMGREC_WORKER_ID and IMGREC_WORKER_APP_TIER_ID. Destroying the fleet terminates its children
/// and waits for them (stop_timeout at most).
std::unique_ptr<Fleet> make_process_fleet(ProcessFleetOptions options, Clock& clock, Rng& rng);

}  // namespace imgrec
