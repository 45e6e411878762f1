// What the contract does not say: how a worker starts, and that none outlives its parent.
#include "lib/local/process_fleet.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>

#include <fstream>

#include "lib/base/file.hpp"
#include "tests/lib/local/child_process.hpp"
#include "tests/support/fake_clock.hpp"
#include "tests/support/temp_dir.hpp"

namespace imgrec::process_fleet_test {
namespace {

namespace fs = std::filesystem;
using test::ChildProcess;
using test::holds_within;
using test::is_alive;

constexpr Millis kLong = Seconds(30);

class ProcessFleetTest : public testing::Test {
 protected:
  std::unique_ptr<Fleet> make(const std::string& mood, Clock& clock = system_clock(), Millis stop_timeout = Seconds(20),
                              DurationRange boot_delay = {}) {
    return make_process_fleet({.executable = IMGREC_LOCAL_CHILD,
                               .arguments = {mood, dir_.path().string(), "with space"},
                               .environment = {{"IMGREC_TEST", "given"}},
                               .instances_max = 3,
                               .stop_timeout = stop_timeout,
                               .boot_delay = boot_delay},
                              clock, system_rng());
  }
  std::vector<pid_t> pids() const {
    std::vector<pid_t> found;
    for (const auto& entry : fs::directory_iterator(dir_.path())) {
      if (entry.path().filename().string().starts_with(".")) continue;
      pid_t pid = 0;
      if (std::ifstream(entry.path()) >> pid) found.push_back(pid);
    }
    return found;
  }
  bool all_gone_within(Millis duration, const std::vector<pid_t>& workers) const {
    return holds_within(duration, [&] { return std::ranges::none_of(workers, is_alive); });
  }
  // Three workers of a parent that is another process.
  void expect_workers_end_with_their_parent(const std::string& mood, int how) {
    ChildProcess parent({"parent", dir_.path().string(), mood});
    ASSERT_TRUE(holds_within(kLong, [&] { return pids().size() == 3; }));
    const auto workers = pids();
    if (mood == "serve" && how == SIGSTOP) {
      for (const pid_t worker : workers) ::kill(worker, SIGSTOP);
    }
    parent.kill();
    EXPECT_TRUE(all_gone_within(Seconds(5), workers));
    for (const pid_t worker : workers) ::kill(worker, SIGKILL);
  }

  test::TempDir dir_;
};

TEST_F(ProcessFleetTest, IsPendingUntilTheWorkerSaysThatItIsReady) {
  const auto quiet = make("quiet");
  ASSERT_TRUE(quiet->launch({.count = 1, .token = LaunchToken("t")}));
  ASSERT_TRUE(holds_within(kLong, [&] { return pids().size() == 1; }));
  EXPECT_EQ(quiet->describe()->at(0).state, InstanceState::pending);
}

TEST_F(ProcessFleetTest, IsPendingAndNoProcessUntilItsBootDelayIsOver) {
  test::FakeClock clock;
  const auto fleet = make("serve", clock, Seconds(20), {Seconds(8), Seconds(15)});
  ASSERT_TRUE(fleet->launch({.count = 3, .token = LaunchToken("t")}));
  clock.wait_for_sleepers(1);
  clock.advance(Millis(7'999));
  clock.wait_for_sleepers(1);
  EXPECT_THAT(pids(), testing::IsEmpty());
  EXPECT_THAT(*fleet->describe(), testing::Each(testing::Field(&Instance::state, InstanceState::pending)));
  const std::vector<Instance> before = *fleet->describe();
  ASSERT_TRUE(fleet->terminate({&before.at(0).id, 1}));
  EXPECT_EQ(fleet->describe()->size(), 2U);
  clock.wait_for_sleepers(1);
  clock.advance(Millis(7'001));
  EXPECT_TRUE(holds_within(kLong, [&] {
    return std::ranges::all_of(*fleet->describe(), [](const Instance& i) { return i.state == InstanceState::running; });
  }));
  EXPECT_EQ(pids().size(), 2U);
  EXPECT_EQ(fleet->describe()->at(0).id, before.at(1).id);
}

TEST_F(ProcessFleetTest, AProgramThatIsNotThereAfterItsBootDelayIsAnInstanceThatGoes) {
  test::FakeClock clock;
  const auto fleet = make_process_fleet(
      {.executable = dir_.path() / "none", .arguments = {}, .environment = {}, .boot_delay = {Seconds(8), Seconds(8)}},
      clock, system_rng());
  ASSERT_TRUE(fleet->launch({.count = 1, .token = LaunchToken("t")}));
  clock.wait_for_sleepers(1);
  testing::internal::CaptureStderr();
  clock.advance(Seconds(8));
  EXPECT_TRUE(holds_within(kLong, [&] { return fleet->describe()->empty(); }));
  EXPECT_THAT(testing::internal::GetCapturedStderr(), testing::HasSubstr("worker cannot be started"));
}

TEST_F(ProcessFleetTest, AWorkerInheritsWhatItNeedsAndNothingElse) {
  const Fd stray(::open("/dev/null", O_RDONLY));  // without close-on-exec, as other libraries open files
  const Fd stray2(::dup(stray.get()));
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  const auto fleet = make("inspect");
  const auto started = fleet->launch({.count = 1, .token = LaunchToken("t")});
  ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  ASSERT_TRUE(started);
  ASSERT_TRUE(holds_within(kLong, [&] { return fs::exists(dir_.path() / "inherited"); }));
  const std::string text = read_file(dir_.path() / "inherited", kMiB).value();
  EXPECT_THAT(text, testing::HasSubstr("fd 0 /dev/null\n"));
  EXPECT_THAT(text, testing::HasSubstr("fd 3 pipe\nfd 4 pipe\nIMGREC"));
  EXPECT_THAT(text, testing::HasSubstr("IMGREC_PARENT_FD=3\n"));
  EXPECT_THAT(text, testing::HasSubstr("IMGREC_READY_FD=4\n"));
  EXPECT_THAT(text, testing::HasSubstr("IMGREC_TEST=given\n"));
  EXPECT_THAT(text, testing::HasSubstr("IMGREC_WORKER_ID=" + started->at(0).id.str() + "\n"));
  EXPECT_THAT(text, testing::HasSubstr("IMGREC_WORKER_APP_TIER_ID=app-tier-1\n"));
  EXPECT_THAT(text, testing::HasSubstr("own group 1\n"));
  EXPECT_THAT(text, testing::HasSubstr("argument with space\n"));
}

TEST_F(ProcessFleetTest, AWorkerThatDoesNotEndInTimeIsKilled) {
  test::FakeClock clock;
  const auto fleet = make("stubborn", clock, Seconds(35));
  const auto started = fleet->launch({.count = 1, .token = LaunchToken("t")});
  ASSERT_TRUE(holds_within(kLong, [&] { return fleet->describe()->at(0).state == InstanceState::running; }));
  ASSERT_TRUE(fleet->terminate({&started->at(0).id, 1}));
  clock.advance(Seconds(34));
  EXPECT_EQ(fleet->describe()->at(0).state, InstanceState::stopping);
  clock.advance(Seconds(1));
  EXPECT_TRUE(holds_within(kLong, [&] { return fleet->describe()->empty(); }));
}

TEST_F(ProcessFleetTest, EndsItsWorkersWhenDestroyed) {
  auto fleet = make("serve");
  ASSERT_TRUE(fleet->launch({.count = 3, .token = LaunchToken("t")}));
  ASSERT_TRUE(holds_within(kLong, [&] { return pids().size() == 3; }));
  const auto workers = pids();
  fleet.reset();
  for (const pid_t worker : workers) EXPECT_FALSE(is_alive(worker));
}

TEST_F(ProcessFleetTest, KillsTheStubbornWhenDestroyed) {
  auto fleet = make("stubborn", system_clock(), Millis(200));
  ASSERT_TRUE(fleet->launch({.count = 1, .token = LaunchToken("t")}));
  ASSERT_TRUE(holds_within(kLong, [&] { return pids().size() == 1; }));
  const auto workers = pids();
  fleet.reset();
  EXPECT_FALSE(is_alive(workers.at(0)));
}

// How soon it is tried again is the controller's to say (roles/controller/start_failures): it pauses on any fleet.
TEST_F(ProcessFleetTest, WorkersThatFailAtOnceAreSaidAndMayBeStartedAgain) {
  test::FakeClock clock;
  const auto fleet = make("fail", clock);
  testing::internal::CaptureStderr();
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(fleet->launch({.count = 1, .token = LaunchToken("t" + std::to_string(i))})) << i;
    ASSERT_TRUE(holds_within(kLong, [&] { return fleet->describe()->empty(); }));
  }
  EXPECT_THAT(testing::internal::GetCapturedStderr(), testing::HasSubstr("exit status 3"));
}

TEST_F(ProcessFleetTest, AProgramThatIsNotThereIsAnError) {
  const auto fleet = make_process_fleet({.executable = dir_.path() / "none", .arguments = {}, .environment = {}},
                                        system_clock(), system_rng());
  const auto started = fleet->launch({.count = 1, .token = LaunchToken("t")});
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().kind, ErrorKind::invalid);
  EXPECT_EQ(started.error().code, "launch_failed");
  EXPECT_TRUE(fleet->describe()->empty());
}

TEST_F(ProcessFleetTest, WorkersEndWithAKilledParent) {
  expect_workers_end_with_their_parent("serve", SIGKILL);
}

TEST_F(ProcessFleetTest, StubbornWorkersEndWithAKilledParent) {
  expect_workers_end_with_their_parent("stubborn", SIGKILL);
}

TEST_F(ProcessFleetTest, StoppedWorkersEndWithAKilledParent) {
  expect_workers_end_with_their_parent("serve", SIGSTOP);
}

}  // namespace
}  // namespace imgrec::process_fleet_test
