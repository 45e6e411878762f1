// Worker machines that can be started and stopped: EC2 instances, or child processes on one machine.
//
// Threads   safe; calls block, at most until their limits (deadline and stop) or the adapter's own. After either a
//           launch may have happened: the same token asks again.
// Limit     a fleet never holds more than its own instances_max, whatever it is asked for.
// Failure   belongs to the caller, who asks describe() what is there rather than counting its own calls.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "lib/base/clock.hpp"
#include "lib/base/ids.hpp"
#include "lib/base/result.hpp"
#include "lib/base/units.hpp"

namespace imgrec {

enum class InstanceState {
  pending,  // launched, not yet working
  running,
  stopping,  // told to end; may still finish what it holds
};

struct Instance {
  InstanceId id;
  InstanceState state = InstanceState::pending;
  std::string app_tier_id;  // "app-tier-1": the number is the lowest free one
  std::string type = {};    // "c7i.large"; empty: not known, or a process of this machine
  WallTime launched_at{};
  std::string image = {};  // "ami-…" that it started from; empty: not known, or a process of this machine
};

struct LaunchRequest {
  int count = 1;  // new instances
  int total = 0;  // pending and running ones in all, the new ones among them: for fleets that take a size, not a number
  LaunchToken token;  // the same token again launches nothing more and answers the same instances
  /// What `note` was told last by another process that launched with this token: then the very same call is made again.
  std::string plan = {};
  /// Called before each call to the cloud that may launch, with what another process needs to make that very call
  /// again. An error ends the launch, and is its error. Not called by fleets whose shown_within() is 0.
  std::function<Result<void>(const std::string& plan)> note = {};
};

class Fleet {
 public:
  virtual ~Fleet() = default;

  /// What was launched may be missing for so long from what other processes describe. 0: they see it at once, or never.
  virtual Millis shown_within() const { return Millis(0); }

  /// All instances that are not ended, oldest first.
  virtual Result<std::vector<Instance>> describe(const CallLimits& limits = {}) = 0;

  /// Starts up to count instances (fewer when the limit or the capacity ends first; none left is throttled
  /// "fleet_full"). Returns those started.
  virtual Result<std::vector<Instance>> launch(const LaunchRequest& request, const CallLimits& limits = {}) = 0;

  /// Tells the instances to finish what they hold and end. Ids that are gone succeed.
  virtual Result<void> terminate(std::span<const InstanceId> ids, const CallLimits& limits = {}) = 0;
};

}  // namespace imgrec
