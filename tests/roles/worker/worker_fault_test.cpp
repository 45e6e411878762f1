// Queues, stores and classifiers that fail, answer late or not at all.
#include <atomic>
#include <functional>

#include "lib/job/worker_start.hpp"
#include "tests/roles/worker/worker_fixture.hpp"

namespace imgrec::worker_fault_test {
namespace {

using test::FakeClassifiers;
using test::FaultAt;
using test::injected_error;
using test::kReplies;
using test::QueueCall;
using test::StoreCall;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class WorkerFaultTest : public test::WorkerFixture {
 protected:
  int receives_of_all() {  // deliveries so far, beyond the first of each
    const std::string metrics = metrics_.scrape();
    const std::string name = "\nimgrec_worker_redeliveries_total ";
    const std::size_t found = metrics.find(name);
    return found == std::string::npos ? 0 : std::stoi(metrics.substr(found + name.size()));
  }
};

TEST_F(WorkerFaultTest, AStoreInTroubleIsWaitedOutWithoutANewDelivery) {
  submit("an image whose worker was killed");
  ASSERT_THAT(*requests_->receive({}, {}), SizeIs(1));
  requests_->expire_leases();  // its result is looked for
  for (int i = 0; i < 5; ++i) submit("image " + std::to_string(i));
  inputs_.faults.fail_next(StoreCall::get, 5);
  outputs_.faults.fail_next(StoreCall::get, 3);
  outputs_.faults.fail_next(StoreCall::put, 5, {ErrorKind::throttled, "slow_down", "Slow down."});
  run();
  expect_all_done();
  EXPECT_THAT(answers(), SizeIs(6));
  EXPECT_EQ(receives_of_all(), 1) << "the one that the test had";
}

TEST_F(WorkerFaultTest, AFullStoreHoldsTheJobsUntilThereIsRoom) {
  log::configure({.level = log::Level::info, .role = {}});
  for (int i = 0; i < 6; ++i) submit("image " + std::to_string(i));
  outputs_.set_capacity(0);
  testing::internal::CaptureStderr();
  start();
  until([&] { return outputs_.faults.calls(StoreCall::put) >= 10; });
  EXPECT_THAT(answers(), IsEmpty());
  EXPECT_EQ(requests_->bodies().size(), 6u);
  outputs_.set_capacity(kMiB);
  finish();
  const std::string log = testing::internal::GetCapturedStderr();
  expect_all_done();
  EXPECT_EQ(receives_of_all(), 0);
  const std::string line = "storing results fails";
  EXPECT_NE(log.find(line), std::string::npos);
  EXPECT_EQ(log.find(line), log.rfind(line)) << "one line, not thirty:\n" << log;
  EXPECT_THAT(log, HasSubstr("storing results works again"));
}

TEST_F(WorkerFaultTest, LostRepliesChangeNothing) {
  for (int i = 0; i < 12; ++i) submit("image " + std::to_string(i));
  outputs_.faults.fail_next(StoreCall::put, 3, injected_error(), FaultAt::after);
  replies()->faults.fail_next(QueueCall::send, 2, injected_error(), FaultAt::after);
  requests_->faults.fail_next(QueueCall::remove, 2, injected_error(), FaultAt::after);
  requests_->faults.fail_next(QueueCall::receive, 1, injected_error(), FaultAt::after);
  settings_.worker.exit_when_idle = Seconds(60);  // the lost delivery comes again after its lease
  run();
  expect_all_done();
}

TEST_F(WorkerFaultTest, BatchesThatFailInPartAreFinishedInPart) {
  for (int i = 0; i < 20; ++i) submit("image " + std::to_string(i));
  replies()->faults.fail_next_elements(QueueCall::send, 4);
  requests_->faults.fail_next_elements(QueueCall::remove, 4);
  settings_.worker.exit_when_idle = Seconds(10);
  run();
  expect_all_done();
  EXPECT_GT(receives_of_all(), 0);
}

TEST_F(WorkerFaultTest, ADuplicateDeliveryWhileTheFirstIsWorkedOnStoresOnce) {
  const JobRequest request = submit("an image");
  classifiers_.hold();
  start();
  classifiers_.wait_for_held(1);
  requests_->push(to_json(request));
  classifiers_.wait_for_held(2);
  classifiers_.release();
  finish();
  EXPECT_THAT(answers(), SizeIs(2));
  EXPECT_EQ(replies()->bodies()[0].substr(0, 60), replies()->bodies()[1].substr(0, 60));
  expect_all_done();
}

TEST_F(WorkerFaultTest, AnEngineThatFailsOnceIsAskedAgainLater) {
  submit("an image");
  classifiers_.faults.fail_next(FakeClassifiers::Call::classify, 1, {ErrorKind::bug, "engine", "The engine broke."});
  run();
  expect_all_done();
  EXPECT_EQ(receives_of_all(), 1);
  EXPECT_THAT(metrics_.scrape(), HasSubstr("imgrec_worker_engine_failures_total 1"));
}

TEST_F(WorkerFaultTest, AnEngineThatThrowsNowAndThenDoesNotEndTheWorker) {
  settings_.worker.threads = 1;
  settings_.worker.exit_when_idle = Seconds(60);
  for (int i = 0; i < 10; ++i) submit("image " + std::to_string(i));
  std::atomic<int> seen = 0;
  classifiers_.on_image([&](ByteView image) {
    if (image.starts_with("image ") && ++seen % 2 == 0) throw std::runtime_error("now and then");
  });
  run();
  ASSERT_TRUE(outcome_) << describe(outcome_.error());
  expect_all_done();
}

TEST_F(WorkerFaultTest, AnEngineThatFailsOnTheBuiltInImageTooEndsTheWorkerAndHarmsNoImage) {
  for (int i = 0; i < 10; ++i) submit("image " + std::to_string(i));
  classifiers_.throw_next(1000);
  run();
  ASSERT_FALSE(outcome_);
  EXPECT_EQ(outcome_.error().code, "engine_failed");
  EXPECT_THAT(answers(), IsEmpty());
  EXPECT_THAT(outputs_.keys(), IsEmpty());
  EXPECT_THAT(dead_->bodies(), IsEmpty());
  classifiers_.throw_next(0);  // a machine whose engine works
  settings_.worker.exit_when_idle = Seconds(60);
  run();
  expect_all_done();
}

TEST_F(WorkerFaultTest, AnEngineThatKeepsFailingOnImagesEndsTheWorker) {
  settings_.worker.threads = 1;
  for (int i = 0; i < 10; ++i) submit("image " + std::to_string(i));
  classifiers_.on_image([&](ByteView image) {
    if (image.starts_with("image ")) throw std::runtime_error("out of memory");
  });
  run();
  ASSERT_FALSE(outcome_);
  EXPECT_EQ(outcome_.error().code, "engine_failed");
  EXPECT_THAT(outcome_.error().message, HasSubstr("3 images in a row"));
  EXPECT_THAT(answers(), IsEmpty());
  EXPECT_THAT(dead_->bodies(), IsEmpty());
}

TEST_F(WorkerFaultTest, ScoresThatAreNoNumbersAreTheEnginesFault) {
  submit("an image");
  classifiers_.answer_nan_next(1);
  run();
  expect_all_done();
  EXPECT_EQ(receives_of_all(), 1);
}

TEST_F(WorkerFaultTest, AnImageThatTheEngineCannotTakeGoesBackUntilItExpires) {
  settings_.worker.engine_failures_max = 1000;
  settings_.worker.exit_when_idle = Seconds(60);
  const JobRequest request = submit("too much");
  for (int i = 0; i < 5; ++i) submit("image " + std::to_string(i));
  std::atomic<int> tried = 0;
  classifiers_.on_image([&](ByteView image) {
    if (image == "too much") ++tried, throw std::runtime_error("out of memory");
  });
  start();
  until([&] { return requests_->bodies().empty(); }, Millis(100));
  finish();
  EXPECT_GT(tried, 2 * settings_.worker.attempts_max) << "a failure of the engine is no attempt";
  EXPECT_EQ(answer_to(request.job).error->code, "expired");
  EXPECT_THAT(dead_->bodies(), IsEmpty());
  EXPECT_THAT(answers(), SizeIs(6));
}

TEST_F(WorkerFaultTest, PoisonIsRemovedOnlyWhenItIsKept) {
  settings_.worker.exit_when_idle = Seconds(60);
  const JobRequest request = submit("an image");
  for (int i = 1; i <= settings_.worker.attempts_max; ++i) {
    ASSERT_TRUE(outputs_.put(attempt_key(request.job, i), "1", {}));
  }
  deliver_once();
  dead_->faults.fail_next(QueueCall::send, 1, {ErrorKind::denied, "denied", "Not allowed."});
  run();
  EXPECT_EQ(dead_->bodies(), std::vector<std::string>{to_json(request)});
  EXPECT_EQ(answer_to(request.job).error->code, "poison");
  EXPECT_THAT(requests_->bodies(), IsEmpty());
}

TEST_F(WorkerFaultTest, AStoreThatRefusesForMinutesDeadLettersNothing) {
  for (const bool reading : {true, false}) {
    for (int i = 0; i < 30; ++i) submit("image " + std::to_string(i));
    settings_.worker.exit_when_idle = Seconds(0);
    auto& store = reading ? inputs_ : outputs_;
    store.faults.set_outage(Error{ErrorKind::denied, "access_denied", "No rights."});
    start();
    const MonoTime begin = clock_.mono_now();
    until([&] { return clock_.mono_now() - begin > Seconds(600); }, Millis(100));
    EXPECT_LE(receives_of_all(), 60) << "it stops receiving; one message at a time tries the store";
    EXPECT_THAT(dead_->bodies(), IsEmpty());
    store.faults.set_outage(std::nullopt);
    until([&] { return requests_->bodies().empty(); });
    worker_.request_stop();
    finish();
    expect_all_done();
  }
}

TEST_F(WorkerFaultTest, ABucketThatIsMissingDropsNoImage) {
  for (int i = 0; i < 5; ++i) submit("image " + std::to_string(i));
  inputs_.faults.fail_next(StoreCall::get, 12, {ErrorKind::not_found, "no_such_bucket", "There is no bucket."});
  run();
  expect_all_done();
}

TEST_F(WorkerFaultTest, DuringAnOutageOneCallTriesForAll) {
  settings_.worker.threads = 8;
  for (int i = 0; i < 8; ++i) submit("image " + std::to_string(i));
  classifiers_.hold();
  start();
  classifiers_.wait_for_held(8);
  outputs_.faults.set_outage(injected_error());
  classifiers_.release();
  const MonoTime begin = clock_.mono_now();
  until([&] { return clock_.mono_now() - begin > Seconds(50); });
  EXPECT_LE(outputs_.faults.calls(StoreCall::put), 8 + 60) << "eight that back off alone would make far more";
  outputs_.faults.set_outage(std::nullopt);
  finish();
  expect_all_done();
  EXPECT_EQ(receives_of_all(), 0);
}

TEST_F(WorkerFaultTest, AResponseQueueThatIsGoneCostsOnlyTheAnswer) {
  const auto requests =
      std::make_shared<test::MemoryQueues>(clock_, test::MemoryQueuesOptions{.make_on_demand = false, .queue = {}});
  requests->create("imgrec-responses-b");
  JobRequest gone = submit("image 1");
  JobRequest other = make_request("image 2");
  other.reply_to = "imgrec-responses-b";
  ASSERT_TRUE(inputs_.put(other.input.key, "image 2", {}));
  requests_->push(to_json(other));
  WorkerPorts worker_ports{.requests = *requests_,
                           .replies = *requests,
                           .dead_letters = *dead_,
                           .inputs = inputs_,
                           .outputs = outputs_,
                           .make_classifier = classifiers_.factory(),
                           .clock = clock_,
                           .rng = rng_,
                           .metrics = metrics_};
  start(worker_ports);
  finish();
  EXPECT_EQ(stored(gone.job).labels.at(0).label, FakeClassifiers::label_of("image 1"));
  EXPECT_THAT(requests->queue("imgrec-responses-b")->bodies(), SizeIs(1));
  EXPECT_THAT(requests_->bodies(), IsEmpty());
  EXPECT_THAT(dead_->bodies(), IsEmpty());
}

TEST_F(WorkerFaultTest, AResponseQueueInTroubleIsWaitedOut) {
  for (int i = 0; i < 3; ++i) submit("image " + std::to_string(i));
  replies()->faults.fail_next(QueueCall::send, 4);
  queues_.faults.fail_next(test::MemoryQueues::Call::open, 2);
  run();
  expect_all_done();
  EXPECT_EQ(receives_of_all(), 0);
}

TEST_F(WorkerFaultTest, ALongOutageOfTheResponseQueueEndsInRedeliveryWithoutNewWork) {
  settings_.worker.exit_when_idle = Seconds(60);
  submit("an image");
  replies()->faults.set_outage(injected_error());
  start();
  until([&] { return receives_of_all() >= 1; }, Millis(50));
  replies()->faults.set_outage(std::nullopt);
  finish();
  EXPECT_EQ(classifiers_.faults.calls(FakeClassifiers::Call::classify), 1);
  expect_all_done();
}

TEST_F(WorkerFaultTest, AQueueOutageIsWaitedOutAndLoggedOnce) {
  log::configure({.level = log::Level::info, .role = {}});
  testing::internal::CaptureStderr();
  settings_.worker.exit_when_idle = Seconds(0);
  start();
  until([&] { return requests_->faults.calls(QueueCall::receive) >= 2; });
  requests_->faults.set_outage(injected_error());
  submit("an image");
  const int calls = requests_->faults.calls(QueueCall::receive);
  until([&] { return requests_->faults.calls(QueueCall::receive) >= calls + 20; }, Millis(100));
  requests_->faults.set_outage(std::nullopt);
  until([&] { return requests_->bodies().empty(); });
  // The image may have been received by a call that began before the outage.
  const int done = requests_->faults.calls(QueueCall::receive);
  until([&] { return requests_->faults.calls(QueueCall::receive) >= done + 3; }, Millis(100));
  worker_.request_stop();
  finish();
  const std::string log = testing::internal::GetCapturedStderr();
  expect_all_done();
  const std::string line = "receiving requests fails";
  EXPECT_NE(log.find(line), std::string::npos);
  EXPECT_EQ(log.find(line), log.rfind(line)) << log;
  EXPECT_THAT(log, HasSubstr("receiving requests works again"));
}

TEST_F(WorkerFaultTest, AFailureToStoreASuspectsResultIsNoAttempt) {
  const JobRequest request = submit("an image");
  deliver_once();
  settings_.worker.attempts_max = 1;
  settings_.worker.outage_hold_max = Millis(0);
  // The attempt is counted, its result is not stored, and what was counted can be removed.
  std::atomic<int> tries = 0;
  WorkerPorts worker_ports = ports();
  worker_ports.on_step = [&](JobStep step) {
    if (step == JobStep::classified && ++tries <= 3) outputs_.faults.fail_next(StoreCall::put);
  };
  start(worker_ports);
  finish();
  EXPECT_GT(tries, 1);
  expect_all_done();
}

// Whatever words a store or a queue has for its refusal, it is not the image's fault.
TEST_F(WorkerFaultTest, ARefusalThatLastsIsNeverAVerdictOnTheImage) {
  settings_.worker.outage_hold_max = Seconds(5);
  settings_.worker.exit_when_idle = Seconds(0);
  for (const Error& refusal : {Error{ErrorKind::invalid, "refused", "SSE-KMS needs another key."},
                               Error{ErrorKind::not_found, "no_such_bucket", "There is no bucket."},
                               Error{ErrorKind::denied, "access_denied", "Not allowed."}}) {
    images_.clear();
    replies()->faults.set_outage(std::nullopt);
    for (int i = 0; i < 6; ++i) submit("image " + std::to_string(i) + refusal.code);
    const std::size_t answered = replies()->bodies().size();
    inputs_.faults.set_outage(refusal);
    outputs_.faults.set_outage(refusal);
    start();
    const MonoTime begin = clock_.mono_now();
    until([&] { return clock_.mono_now() - begin > Seconds(25); });
    EXPECT_EQ(replies()->bodies().size(), answered) << refusal.code;
    EXPECT_EQ(requests_->bodies().size(), 6u) << refusal.code;
    inputs_.faults.set_outage(std::nullopt);
    outputs_.faults.set_outage(std::nullopt);
    replies()->faults.set_outage(refusal);  // nor is one of the queue of answers an end
    until([&] { return clock_.mono_now() - begin > Seconds(50); });
    EXPECT_EQ(replies()->bodies().size(), answered) << refusal.code;
    replies()->faults.set_outage(std::nullopt);
    const bool is_gone = refusal.kind == ErrorKind::not_found;  // a response queue that is gone has nobody behind it
    until([&] { return requests_->bodies().empty(); });
    worker_.request_stop();
    finish();
    for (const auto& [job, image] : images_) EXPECT_FALSE(stored(job).error) << refusal.code;
    EXPECT_EQ(replies()->bodies().size(), answered + (is_gone ? 0 : 6)) << refusal.code;
    EXPECT_TRUE(dead_->bodies().empty());
  }
}

// Nobody died at what an outage sent back: so it is not worked on one by one as what a dead worker held is.
TEST_F(WorkerFaultTest, AfterALongOutageAllThreadsWorkAtOnce) {
  settings_.worker.threads = 8;
  settings_.worker.exit_when_idle = Seconds(0);
  for (int i = 0; i < 600; ++i) submit("image " + std::to_string(i));
  const Error full{ErrorKind::transient, "disk_full", "No room."};
  outputs_.faults.set_outage(full);
  start();
  const MonoTime begin = clock_.mono_now();
  until([&] { return clock_.mono_now() - begin > Seconds(200); }, Millis(50));
  outputs_.faults.set_outage(std::nullopt);
  classifiers_.set_duration(Millis(100));
  const MonoTime end_of_outage = clock_.mono_now();
  until([&] { return replies()->bodies().size() == 600; });
  // Eight threads take 7.5 s, one would take 60; up to 5 s pass until somebody tries again, and what was held when the
  // outage began may be suspect.
  EXPECT_LT(clock_.mono_now() - end_of_outage, Millis(25'000));
  worker_.request_stop();
  finish();
  expect_all_done();
}

// What is suspended answers nothing: every call waits until its limits.
class WorkerStopTest : public WorkerFaultTest {
 protected:
  void expect_end_within_the_drain_limit(const std::function<void()>& go_silent) {
    settings_.worker.drain_timeout = Seconds(10);
    settings_.worker.exit_when_idle = Seconds(0);
    for (int image = 0; image < 30; ++image) submit("image " + std::to_string(image));
    std::atomic<bool> silent = false;
    WorkerPorts worker_ports = ports();
    worker_ports.on_step = [&](JobStep step) {
      if (step == JobStep::received && !silent.exchange(true)) go_silent();
    };
    start(worker_ports);
    at_once([&] { return silent.load(); });
    clock_.advance(Seconds(1));
    const MonoTime begin = clock_.mono_now();
    worker_.request_stop();
    finish();
    EXPECT_LE(clock_.mono_now() - begin, settings_.worker.drain_timeout + Seconds(4));
    EXPECT_TRUE(outcome_) << describe(outcome_.error());
  }
};

TEST_F(WorkerStopTest, EndsWhileTheStoreOfImagesHangs) {
  expect_end_within_the_drain_limit([&] { inputs_.faults.go_silent(); });
  EXPECT_EQ(visible(), requests_->bodies().size()) << "returned at once";
}

TEST_F(WorkerStopTest, EndsWhileTheStoreOfResultsHangs) {
  expect_end_within_the_drain_limit([&] { outputs_.faults.go_silent(); });
  EXPECT_EQ(visible(), 30u) << "returned at once";
}

TEST_F(WorkerStopTest, EndsWhileTheRequestQueueHangs) {
  expect_end_within_the_drain_limit([&] { requests_->faults.go_silent(); });
}

TEST_F(WorkerStopTest, EndsWhileTheQueueOfAnswersHangs) {
  expect_end_within_the_drain_limit([&] { replies()->faults.go_silent(); });
  EXPECT_EQ(visible(), requests_->bodies().size()) << "returned at once";
}

TEST_F(WorkerFaultTest, WithoutAClassifierThereIsNoWorker) {
  submit("an image");
  classifiers_.faults.fail_next(FakeClassifiers::Call::make, 1,
                                {ErrorKind::not_found, "no_such_model", "Pull it first."});
  const auto outcome = run_worker(settings_, ports(), {});
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, "no_such_model");
  EXPECT_EQ(requests_->faults.calls(QueueCall::receive), 0);
}

TEST_F(WorkerFaultTest, AWorkerThatCannotStartSaysWhyUntilOneCan) {
  settings_.version = "1.2.3";
  classifiers_.faults.fail_next(FakeClassifiers::Call::make, 1,
                                {ErrorKind::invalid, "model_damaged", "The file is damaged: pull it again."});
  testing::internal::CaptureStderr();
  ASSERT_FALSE(run_worker(settings_, ports(), {}));
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_EQ(log.find("pull it again"), log.rfind("pull it again")) << "said once";
  const auto document = outputs_.get(worker_start_key(), kMiB);
  ASSERT_TRUE(document) << describe(document.error());
  EXPECT_EQ(parse_worker_start(document->bytes), (WorkerStartFailure{.code = "model_damaged",
                                                                     .detail = "The file is damaged: pull it again.",
                                                                     .worker = "w-1",
                                                                     .version = "1.2.3",
                                                                     .at = clock_.wall_now()}));
  submit("an image");
  run();
  expect_all_done();
  EXPECT_FALSE(outputs_.get(worker_start_key(), kMiB));
}

TEST_F(WorkerFaultTest, AStoreThatCannotForgetAFailedStartKeepsNoWorkerFromItsWork) {
  outputs_.faults.fail_next(StoreCall::remove, 1, {ErrorKind::denied, "access_denied", "Not allowed."});
  submit("an image");
  run();
  expect_all_done();
}

TEST_F(WorkerFaultTest, AQueueThatRefusesFromTheStartIsAnErrorAtOnce) {
  requests_->faults.set_outage(Error{ErrorKind::denied, "denied", "Not allowed."});
  start();
  at_once([&] { return ended_.load(); });
  ASSERT_FALSE(outcome_);
  EXPECT_EQ(outcome_.error().kind, ErrorKind::denied);
}

TEST_F(WorkerFaultTest, AQueueThatStaysOutOfReachFromTheStartIsAnErrorAfterAMinute) {
  requests_->faults.set_outage(injected_error());
  const MonoTime begin = clock_.mono_now();
  start();
  until([&] { return ended_.load(); }, Millis(100));
  ASSERT_FALSE(outcome_);
  EXPECT_EQ(outcome_.error().kind, ErrorKind::transient);
  EXPECT_GE(clock_.mono_now() - begin, Seconds(60));
}

}  // namespace
}  // namespace imgrec::worker_fault_test
