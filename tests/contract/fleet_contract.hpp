// What every Fleet has to do: instantiate FleetContract with a harness.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lib/ports/fleet.hpp"

namespace imgrec::test {

/// One test's fleet, empty at first, of at most kFleetMax instances.
class FleetWorld {
 public:
  virtual ~FleetWorld() = default;
  virtual Fleet& fleet() = 0;
  /// A moment passes, really or not: long enough that asking again makes sense.
  virtual void pause() = 0;
  /// The instance ends without having been told to.
  virtual void crash(const InstanceId& id) = 0;
};

constexpr int kFleetMax = 3;

struct FleetHarness {
  std::string name;
  std::function<std::unique_ptr<FleetWorld>()> make_world;
  bool gives_numbers = true;      // App Tier IDs are app-tier-1, app-tier-2, …; else they only differ
  bool replaces_crashed = false;  // an instance that ends by itself is replaced
};

inline std::ostream& operator<<(std::ostream& out, const FleetHarness& harness) {
  return out << harness.name;
}

class FleetContract : public testing::TestWithParam<FleetHarness> {
 protected:
  void SetUp() override { world_ = GetParam().make_world(); }
  Fleet& fleet() { return world_->fleet(); }
  std::vector<Instance> describe_all();
  /// Instances that were started; a failure of the test when there were none.
  std::vector<Instance> launch(int count, const std::string& token);
  /// Asks until it holds; false when it does not for long.
  bool eventually(const std::function<bool(const std::vector<Instance>&)>& holds);
  bool all_running(std::size_t count);

  std::unique_ptr<FleetWorld> world_;
};

}  // namespace imgrec::test
