// The fakes that the roles are tested with keep the contracts too: else those tests would prove nothing.
#include "tests/contract/fleet_contract.hpp"
#include "tests/contract/queue_contract.hpp"
#include "tests/contract/store_contract.hpp"
#include "tests/support/fake_clock.hpp"
#include "tests/support/fake_fleet.hpp"
#include "tests/support/memory_queue.hpp"
#include "tests/support/memory_store.hpp"

namespace imgrec::test::fakes_contract_test {
namespace {

class MemoryQueueWorld final : public QueueWorld {
 public:
  QueuePair make(const QueueSetup& setup) override {
    MemoryQueueOptions options{.fifo = setup.fifo, .receives_max = setup.receives_max, .dead_letter = {}};
    if (setup.receives_max > 0) {
      options.dead_letter = std::make_shared<MemoryQueue>(
          clock_, MemoryQueueOptions{.fifo = setup.fifo, .receives_max = 0, .dead_letter = {}});
    }
    return {std::make_shared<MemoryQueue>(clock_, options), options.dead_letter};
  }
  Clock& clock() override { return clock_; }
  void advance(Millis duration) override { clock_.advance(duration); }
  void advance_during_poll(Millis duration) override {
    clock_.wait_for_sleepers(1);
    clock_.advance(duration);
  }

 private:
  FakeClock clock_;
};

class MemoryStoreWorld final : public StoreWorld {
 public:
  ObjectStore& store() override { return store_; }

 private:
  FakeClock clock_;
  MemoryStore store_{clock_};
};

class FakeFleetWorld final : public FleetWorld {
 public:
  Fleet& fleet() override { return fleet_; }
  void pause() override { clock_.advance(Millis(10)); }
  void crash(const InstanceId& id) override { fleet_.kill(id); }

 private:
  FakeClock clock_;
  FakeFleet fleet_{clock_, {.instances_max = kFleetMax, .boot = Millis(100), .stop = Millis(50)}};
};

const auto kQueues =
    testing::Values(QueueHarness{.name = "memory", .make_world = [] { return std::make_unique<MemoryQueueWorld>(); }});
INSTANTIATE_TEST_SUITE_P(Fakes, QueueContract, kQueues, testing::PrintToStringParamName());
INSTANTIATE_TEST_SUITE_P(Fakes, FifoContract, kQueues, testing::PrintToStringParamName());
INSTANTIATE_TEST_SUITE_P(Fakes, StoreContract,
                         testing::Values(StoreHarness{"memory", [] { return std::make_unique<MemoryStoreWorld>(); }}),
                         testing::PrintToStringParamName());
INSTANTIATE_TEST_SUITE_P(Fakes, FleetContract,
                         testing::Values(FleetHarness{"fake", [] { return std::make_unique<FakeFleetWorld>(); }}),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace imgrec::test::fakes_contract_test
