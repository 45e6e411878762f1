// The adapters of one machine keep the contracts of their ports.
#include <poll.h>
#include <signal.h>

#include <fstream>

#include "lib/local/dir_store.hpp"
#include "lib/local/process_fleet.hpp"
#include "lib/local/sqlite_queue.hpp"
#include "tests/contract/fleet_contract.hpp"
#include "tests/contract/queue_contract.hpp"
#include "tests/contract/store_contract.hpp"
#include "tests/support/fake_clock.hpp"
#include "tests/support/temp_dir.hpp"

namespace imgrec::test::adapters_contract_test {
namespace {

class SqliteQueueWorld final : public QueueWorld {
 public:
  QueuePair make(const QueueSetup& setup) override {
    const auto rules = [setup](const std::string& name) {
      SqliteQueueOptions options{.fifo = setup.fifo, .receives_max = 0, .dead_letter = {}};
      if (name == "queue" && setup.receives_max > 0) {
        options.receives_max = setup.receives_max;
        options.dead_letter = "dead";
      }
      return options;
    };
    directory_ = open_sqlite_queues(dir_.path() / "q.db", {rules}, clock_, rng_).value();
    QueuePair pair{directory_->open("queue").value(), nullptr};
    if (setup.receives_max > 0) pair.dead_letter = directory_->open("dead").value();
    return pair;
  }
  Clock& clock() override { return clock_; }
  void advance(Millis duration) override { clock_.advance(duration); }
  void advance_during_poll(Millis duration) override {
    clock_.wait_for_sleepers(1);
    clock_.advance(duration);
  }

 private:
  TempDir dir_;
  FakeClock clock_;
  SeededRng rng_;
  std::unique_ptr<QueueDirectory> directory_;
};

class DirStoreWorld final : public StoreWorld {
 public:
  ObjectStore& store() override { return *store_; }

 private:
  TempDir dir_;
  std::unique_ptr<ObjectStore> store_ = open_dir_store(dir_.path() / "new" / "store").value();
};

class ProcessFleetWorld final : public FleetWorld {
 public:
  Fleet& fleet() override { return *fleet_; }
  void pause() override { ::poll(nullptr, 0, 5); }
  void crash(const InstanceId& id) override {
    pid_t pid = 0;
    std::ifstream(dir_.path() / id.str()) >> pid;
    ASSERT_GT(pid, 0);
    ::kill(pid, SIGKILL);
  }

 private:
  TempDir dir_;
  std::unique_ptr<Fleet> fleet_ = make_process_fleet({.executable = IMGREC_LOCAL_CHILD,
                                                      .arguments = {"serve", dir_.path().string()},
                                                      .environment = {},
                                                      .instances_max = kFleetMax},
                                                     system_clock(), system_rng());
};

const auto kQueues = testing::Values(QueueHarness{
    .name = "sqlite", .make_world = [] { return std::make_unique<SqliteQueueWorld>(); }, .counts_returns = false});
INSTANTIATE_TEST_SUITE_P(Local, QueueContract, kQueues, testing::PrintToStringParamName());
INSTANTIATE_TEST_SUITE_P(Local, FifoContract, kQueues, testing::PrintToStringParamName());
INSTANTIATE_TEST_SUITE_P(Local, StoreContract,
                         testing::Values(StoreHarness{"folder", [] { return std::make_unique<DirStoreWorld>(); }}),
                         testing::PrintToStringParamName());
INSTANTIATE_TEST_SUITE_P(Local, FleetContract,
                         testing::Values(FleetHarness{"processes",
                                                      [] { return std::make_unique<ProcessFleetWorld>(); }}),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace imgrec::test::adapters_contract_test
