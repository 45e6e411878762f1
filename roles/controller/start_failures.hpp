// Instances that end right after their start (a damaged model, a program that does not run): the controller pauses
// between its attempts instead of starting them for ever.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lib/base/ids.hpp"
#include "lib/base/units.hpp"
#include "lib/ports/fleet.hpp"
#include "roles/controller/policy/observation.hpp"

namespace imgrec {

struct StartRules {
  Millis started_after{0};  // running for so long an instance counts as started; 0: as soon as it runs
  Millis pause_min{
      1'000};  // after the second failure in a row (one crash is no pattern); doubles with every further one
  Millis pause_max{60'000};
};

/// Watches the instances that were launched. Pure: time is passed in. Not thread-safe.
class StartFailures {
 public:
  explicit StartFailures(const StartRules& rules) : rules_(rules) {}

  void launched(std::span<const Instance> instances);
  /// They were told to end, so their end is no failure.
  void told_to_end(std::span<const InstanceId> ids);

  /// What is there now. Failures of one round count as one: they were launched together. One that has started ends the
  /// series of failures.
  /// A worker that has signalled that it is ready has started, however soon it ends.
  void observe(std::span<const Instance> instances, MonoTime now, const Signals& signals = {});

  int in_a_row() const { return in_a_row_; }
  int total() const { return total_; }
  /// How long nothing should be launched yet; 0: launch.
  Millis pause_left(MonoTime now) const;

 private:
  struct Watched {
    InstanceId id;
    std::string app_tier_id;
    WallTime launched_at{};
    std::optional<MonoTime> running_since = {};
  };

  const StartRules rules_;
  std::vector<Watched> watched_;  // launched, and neither started nor gone: at most as many as the fleet holds
  int in_a_row_ = 0;
  int total_ = 0;
  MonoTime launch_again_at_ = MonoTime::min();
};

}  // namespace imgrec
