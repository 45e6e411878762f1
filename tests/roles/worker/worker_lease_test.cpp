// Leases that are kept, leases that are lost, and what a worker does with what it holds when it has to end.
#include "tests/roles/worker/worker_fixture.hpp"

namespace imgrec::worker_lease_test {
namespace {

using test::FakeClassifiers;
using test::injected_error;
using test::QueueCall;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class WorkerLeaseTest : public test::WorkerFixture {
 protected:
  WorkerLeaseTest() {
    settings_.worker.exit_when_idle = Seconds(0);
    settings_.worker.threads = 1;
  }
  /// A long time goes by while the lease keeper is the only one that sleeps.
  void let_pass(Millis duration) {
    const MonoTime end = clock_.mono_now() + duration;
    while (clock_.mono_now() < end) {
      clock_.advance(settings_.queue.visibility / 16);
      clock_.wait_for_sleepers(1);
    }
  }
  void stop() {
    worker_.request_stop();
    at_once([&] { return ended_.load(); });
    worker_.join();
  }
};

TEST_F(WorkerLeaseTest, ASlowJobIsDeliveredToNobodyElse) {
  for (int i = 0; i < 30; ++i) submit("image " + std::to_string(i));
  classifiers_.hold();
  start();
  classifiers_.wait_for_held(1);
  at_once([&] { return requests_->depth()->in_flight == 2; });  // one in work, one at hand
  clock_.wait_for_sleepers(1);
  let_pass(5 * settings_.queue.visibility);
  EXPECT_EQ(requests_->depth()->in_flight, 2u);
  classifiers_.release();
  until([&] { return requests_->bodies().empty(); });
  stop();
  expect_all_done();
  EXPECT_THAT(answers(), SizeIs(30));
  EXPECT_THAT(metrics_.scrape(), HasSubstr("imgrec_worker_redeliveries_total 0"));
  EXPECT_THAT(metrics_.scrape(), testing::Not(HasSubstr("imgrec_worker_leases_extended_total 0")));
}

TEST_F(WorkerLeaseTest, RenewalsGoInBatchesAndSurviveAnError) {
  settings_.worker.threads = 12;
  settings_.worker.prefetch = 0;
  for (int i = 0; i < 12; ++i) submit("image " + std::to_string(i));
  classifiers_.hold();
  start();
  classifiers_.wait_for_held(12);
  clock_.wait_for_sleepers(1);
  const int before = requests_->faults.calls(QueueCall::extend);
  let_pass(settings_.queue.visibility / 2 + settings_.queue.visibility / 16);
  EXPECT_EQ(requests_->faults.calls(QueueCall::extend), before + 2);
  requests_->faults.fail_next(QueueCall::extend, 2);
  requests_->faults.fail_next_elements(QueueCall::extend, 3);
  let_pass(3 * settings_.queue.visibility);
  EXPECT_EQ(requests_->depth()->in_flight, 12u);
  classifiers_.release();
  until([&] { return requests_->bodies().empty(); });
  stop();
  expect_all_done();
  EXPECT_THAT(answers(), SizeIs(12));
}

TEST_F(WorkerLeaseTest, AJobWhoseLeaseWasLostIsHarmless) {
  submit("an image");
  classifiers_.hold();
  start();
  classifiers_.wait_for_held(1);
  requests_->expire_leases();
  const auto taken = requests_->receive({.visibility = std::chrono::hours(1)}, {});  // another worker has it now
  // This worker may have received it again first: then it holds both deliveries.
  classifiers_.release();
  at_once([&] { return !replies()->bodies().empty(); });
  requests_->expire_leases();
  until([&] { return requests_->bodies().empty(); });
  stop();
  expect_all_done();
}

TEST_F(WorkerLeaseTest, AStopReturnsWhatIsPrefetchedAtOnceAndFinishesTheRest) {
  settings_.worker.prefetch = 10;
  submit("warm-up");
  start();
  at_once([&] { return requests_->bodies().empty(); });  // from now on it prefetches ten, as images take no time
  classifiers_.hold();
  for (int i = 0; i < 11; ++i) submit("image " + std::to_string(i));
  at_once([&] { return requests_->depth()->in_flight >= 7; });  // it refills at half: seven or more
  classifiers_.wait_for_held(1);
  worker_.request_stop();
  // One is being classified, four more are begun: the others come back without a moment's delay.
  at_once([&] { return visible() >= 6; });
  EXPECT_FALSE(ended_);
  classifiers_.release();
  at_once([&] { return ended_.load(); });
  EXPECT_TRUE(outcome_);
  EXPECT_GE(answers().size(), 2u) << "what was begun is answered";
  EXPECT_EQ(answers().size() + requests_->bodies().size(), 12u);
  EXPECT_EQ(requests_->depth()->in_flight, 0u);

  start();  // the next worker finishes
  at_once([&] { return requests_->bodies().empty(); });
  stop();
  expect_all_done();
}

TEST_F(WorkerLeaseTest, AfterTheDrainTimeoutEverythingIsReturned) {
  settings_.worker.drain_timeout = Seconds(5);
  submit("an image");
  classifiers_.hold();
  start();
  classifiers_.wait_for_held(1);
  worker_.request_stop();
  const MonoTime stopped = clock_.mono_now();
  until([&] { return visible() == 1; });
  EXPECT_LT(clock_.mono_now() - stopped, settings_.queue.visibility) << "its lease did not just end";
  EXPECT_FALSE(ended_) << "a classification cannot be interrupted";
  classifiers_.release();
  at_once([&] { return ended_.load(); });
  EXPECT_THAT(answers(), IsEmpty());
  EXPECT_THAT(outputs_.keys(), IsEmpty());
  EXPECT_EQ(visible(), 1u);
}

TEST_F(WorkerLeaseTest, AStopDuringAnOutageStillEnds) {
  for (int i = 0; i < 4; ++i) submit("image " + std::to_string(i));
  outputs_.faults.set_outage(injected_error());
  start();
  until([&] { return outputs_.faults.calls(test::StoreCall::put) >= 8; });
  requests_->faults.set_outage(injected_error());
  worker_.request_stop();
  until([&] { return ended_.load(); });
  outputs_.faults.set_outage(std::nullopt);
  requests_->faults.set_outage(std::nullopt);
  clock_.advance(settings_.queue.visibility);
  start();
  until([&] { return requests_->bodies().empty(); });
  stop();
  expect_all_done();
}

TEST_F(WorkerLeaseTest, AStopWhileIdleEndsAtOnce) {
  start();
  clock_.wait_for_sleepers(2);
  stop();
  EXPECT_TRUE(outcome_);
}

}  // namespace
}  // namespace imgrec::worker_lease_test
