// How the controller asks workers to stop: a request that whichever worker has nothing to do takes, and the answer of
// that worker, which then waits for its end. Version 1.
#pragma once

#include <string>
#include <string_view>

#include "lib/base/ids.hpp"
#include "lib/base/result.hpp"
#include "lib/base/units.hpp"

namespace imgrec {

/// In the queue of shutdown requests. It names no worker: which of them takes it is not known in advance.
struct ShutdownRequest {
  std::string id;  // of this request; its confirmation repeats it
  WallTime requested_at{};
  bool operator==(const ShutdownRequest&) const = default;
};

/// In the queue of shutdown confirmations: this worker holds nothing, takes nothing new, and waits for its end. The
/// instance's id belongs to one launch alone, so the confirmation of an earlier instance with the same App Tier ID ends
/// nobody.
struct ShutdownConfirmation {
  std::string request;
  InstanceId instance;
  std::string app_tier_id;  // empty where the worker was not told
  WallTime confirmed_at{};
  bool operator==(const ShutdownConfirmation&) const = default;
};

std::string to_json(const ShutdownRequest& request);
std::string to_json(const ShutdownConfirmation& confirmation);
/// Errors: invalid "bad_shutdown_message"; transient "other_version" (lib/job/other_version.hpp).
Result<ShutdownRequest> parse_shutdown_request(std::string_view json);
Result<ShutdownConfirmation> parse_shutdown_confirmation(std::string_view json);

}  // namespace imgrec
