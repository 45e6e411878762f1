// A fleet that exists only on a Clock: instances boot and stop in the time that the test says.
#pragma once

#include <map>
#include <mutex>
#include <vector>

#include "lib/base/clock.hpp"
#include "lib/ports/fleet.hpp"
#include "tests/support/faults.hpp"

namespace imgrec::test {

struct FakeFleetOptions {
  int instances_max = 10;
  Millis boot{0};  // from launch to running
  Millis stop{0};  // from terminate to gone
};

enum class FleetCall { describe, launch, terminate };

/// Thread-safe.
class FakeFleet final : public Fleet {
 public:
  FakeFleet(Clock& clock, FakeFleetOptions options) : clock_(clock), options_(options) {}

  Result<std::vector<Instance>> describe(const CallLimits& limits = {}) override;
  Result<std::vector<Instance>> launch(const LaunchRequest& request, const CallLimits& limits = {}) override;
  Result<void> terminate(std::span<const InstanceId> ids, const CallLimits& limits = {}) override;

  // For tests:
  Faults<FleetCall> faults;
  /// The instance is gone at once, as a crash leaves it.
  void kill(const InstanceId& id);
  /// All that were ever launched.
  int launched() const;
  /// The tokens of the launches that reached the fleet, in order, repeated ones too.
  std::vector<LaunchToken> tokens() const;

 private:
  struct Member {
    Instance instance;
    MonoTime running_at{};
    MonoTime gone_at = MonoTime::max();
  };

  void update();
  std::vector<Instance> instances() const;

  Clock& clock_;
  const FakeFleetOptions options_;
  mutable std::mutex mutex_;
  std::vector<Member> members_;  // oldest first
  std::map<LaunchToken, std::vector<Instance>> launches_;
  std::vector<LaunchToken> tokens_;
  int launched_ = 0;
};

}  // namespace imgrec::test
