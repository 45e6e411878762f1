// Workers that are killed, at each step and at random: no image is lost, answered wrongly, or stored twice.
#include "tests/roles/worker/severed_ports.hpp"
#include "tests/roles/worker/worker_fixture.hpp"

namespace imgrec::worker_crash_test {
namespace {

using test::Dead;

const char* name_of(JobStep step) {
  switch (step) {
    case JobStep::received: return "received";
    case JobStep::parsed: return "parsed";
    case JobStep::fetched: return "fetched";
    case JobStep::classified: return "classified";
    case JobStep::stored: return "stored";
    case JobStep::answered: return "answered";
    case JobStep::removed: return "removed";
  }
  return "?";
}

class WorkerCrashTest : public test::WorkerFixture {
 protected:
  WorkerCrashTest() { settings_.worker.drain_timeout = Millis(0); }

  /// Runs a worker until `dies` says so at one of its steps, or until it is idle. True when it was killed.
  bool run_until_killed(std::function<bool(JobStep)> dies) {
    const Dead dead = std::make_shared<std::atomic<bool>>(false);
    std::stop_source stop;
    test::CutQueue requests(requests_, dead), dead_letters(dead_, dead);
    test::CutQueues replies(queues_, dead);
    test::CutStore inputs(inputs_, dead), outputs(outputs_, dead);
    std::mutex mutex;
    WorkerPorts cut{.requests = requests,
                    .replies = replies,
                    .dead_letters = dead_letters,
                    .inputs = inputs,
                    .outputs = outputs,
                    .make_classifier = classifiers_.factory(),
                    .clock = clock_,
                    .rng = rng_,
                    .metrics = metrics_,
                    .on_step = [&](JobStep step) {
                      std::lock_guard lock(mutex);
                      if (!*dead && dies(step)) kill_();
                    }};
    kill_ = [&] {
      *dead = true;
      stop.request_stop();
    };
    std::atomic<bool> ended = false;
    std::jthread worker([&] {
      const auto outcome = run_worker(settings_, cut, stop.get_token());
      EXPECT_TRUE(outcome || *dead) << describe(outcome.error());
      ended = true;
    });
    until([&] { return ended.load(); });
    worker.join();
    return *dead;
  }
  /// Workers one after another, each with what the last one left, until the queue is empty. Counts those that died.
  void run_until_done(int& kills) {
    while (!requests_->bodies().empty()) {
      ASSERT_LT(kills, 20);
      kills += run_until_killed([](JobStep) { return false; });
      requests_->expire_leases();
    }
  }

  std::function<void()> kill_;  // the worker that runs
};

class WorkerCrashAtStep : public WorkerCrashTest, public testing::WithParamInterface<std::tuple<JobStep, int>> {};

TEST_P(WorkerCrashAtStep, TheNextWorkerFinishes) {
  const auto [step, nth] = GetParam();
  for (int i = 0; i < 8; ++i) submit("image " + std::to_string(i));
  int seen = 0;
  ASSERT_TRUE(
      run_until_killed([&, step = step, nth = nth](JobStep reached) { return reached == step && ++seen == nth; }));
  EXPECT_FALSE(run_until_killed([](JobStep) { return false; })) << "idle: the leases of the dead are not over yet";
  clock_.advance(settings_.queue.visibility);
  EXPECT_FALSE(run_until_killed([](JobStep) { return false; }));
  expect_all_done();
}

INSTANTIATE_TEST_SUITE_P(Steps, WorkerCrashAtStep,
                         testing::Combine(testing::Values(JobStep::received, JobStep::parsed, JobStep::fetched,
                                                          JobStep::classified, JobStep::stored, JobStep::answered,
                                                          JobStep::removed),
                                          testing::Values(1, 5)),
                         [](const auto& one) {
                           return std::string(name_of(std::get<0>(one.param))) + "_" +
                                  std::to_string(std::get<1>(one.param));
                         });

TEST_F(WorkerCrashTest, ManyKillsAtRandomStepsLoseNothing) {
  for (int i = 0; i < 60; ++i) submit("image " + std::to_string(i));
  test::SeededRng dice(2026);
  int kills = 0;
  while (!requests_->bodies().empty()) {
    ASSERT_LT(kills, 500);
    kills += run_until_killed([&](JobStep) { return dice.next() % 40 == 0; });
    requests_->expire_leases();
  }
  EXPECT_GT(kills, 3);
  expect_all_done();
}

TEST_F(WorkerCrashTest, AnImageThatKillsEveryWorkerEndsAsPoisonAndHarmsNoOther) {
  settings_.worker.threads = 8;
  settings_.worker.prefetch = 20;
  const JobRequest killer = submit("a killer");
  for (int i = 0; i < 30; ++i) submit("image " + std::to_string(i));
  classifiers_.on_image([&](ByteView image) {
    if (image == "a killer") kill_();
  });
  int kills = 0;
  ASSERT_NO_FATAL_FAILURE(run_until_done(kills));
  EXPECT_EQ(kills, 1 + settings_.worker.attempts_max) << "the first time it was not alone";
  EXPECT_EQ(answer_to(killer.job).error->code, "poison");
  ASSERT_EQ(dead_->bodies().size(), 1u);
  EXPECT_EQ(dead_->bodies()[0], to_json(killer));
  for (const auto& [job, image] : images_) {
    if (job == killer.job) continue;
    EXPECT_EQ(answer_to(job).labels.at(0).label, test::FakeClassifiers::label_of(image));
  }
}

TEST_F(WorkerCrashTest, PoisonEndsAlsoWhereTheQueueTellsNoReceiveCounts) {
  requests_ = std::make_shared<test::MemoryQueue>(clock_, test::MemoryQueueOptions{.tells_receive_counts = false});
  settings_.worker.threads = 8;
  const JobRequest killer = submit("a killer");
  for (int i = 0; i < 10; ++i) submit("image " + std::to_string(i));
  classifiers_.on_image([&](ByteView image) {
    if (image == "a killer") kill_();
  });
  int kills = 0;
  ASSERT_NO_FATAL_FAILURE(run_until_done(kills));
  EXPECT_EQ(kills, settings_.worker.attempts_max) << "each time alone";
  EXPECT_EQ(answer_to(killer.job).error->code, "poison");
  EXPECT_EQ(dead_->bodies().size(), 1u);
}

TEST_F(WorkerCrashTest, ACrashLoopIsNoVerdictOnAnyImage) {
  settings_.worker.threads = 8;
  for (int i = 0; i < 20; ++i) submit("image " + std::to_string(i));
  classifiers_.on_image([&](ByteView) { kill_(); });  // a build that dies on every image
  for (int kills = 0; kills < 30; ++kills) {
    ASSERT_TRUE(run_until_killed([](JobStep) { return false; }));
    requests_->expire_leases();
  }
  EXPECT_TRUE(answers().empty());
  EXPECT_TRUE(outputs_.keys().empty()) << "no attempt was counted";
  classifiers_.on_image([](ByteView) {});  // a build that works
  EXPECT_FALSE(run_until_killed([](JobStep) { return false; }));
  expect_all_done();
}

TEST_F(WorkerCrashTest, ASuspectIsWorkedOnAlone) {
  settings_.worker.threads = 4;
  submit("a suspect");
  deliver_once();
  for (int i = 0; i < 30; ++i) submit("image " + std::to_string(i));
  std::atomic<int> inside = 0;
  bool seen = false;
  classifiers_.on_image([&](ByteView image) {
    ++inside;
    if (image == "a suspect") {
      seen = true;
      EXPECT_EQ(inside, 1);
      EXPECT_EQ(visible() + outputs_.keys().size() - 1, 30u) << "all others are done, or held by nobody";
    }
    --inside;
  });
  run();
  EXPECT_TRUE(seen);
  expect_all_done();
}

}  // namespace
}  // namespace imgrec::worker_crash_test
