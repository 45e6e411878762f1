// A client cancels a job while a worker may or may not have it: the result that is stored first stays, and everybody is
// told the same.
#include "tests/roles/worker/worker_fixture.hpp"

namespace imgrec::worker_cancel_test {
namespace {

using test::FakeClassifiers;
using testing::IsEmpty;

class WorkerCancelTest : public test::WorkerFixture {
 protected:
  /// What a web node does; see roles/web/jobs/job_lookup.hpp. Returns false when the job has a result already.
  bool cancel(const JobRequest& request) {
    JobResult result;
    result.job = request.job;
    result.session = request.session;
    result.name = request.name;
    result.error = JobError{.code = std::string(kCancelledCode), .title = "t", .detail = "d", .retryable = false};
    const auto put = outputs_.put(result_key(request.job), to_json(result), {.only_if_absent = true});
    EXPECT_TRUE(put);
    if (*put != PutOutcome::stored) return false;
    EXPECT_TRUE(inputs_.remove({&request.input.key, 1}));
    return true;
  }
  int classified() const { return classifiers_.faults.calls(FakeClassifiers::Call::classify); }
};

TEST_F(WorkerCancelTest, WhatNoWorkerHasFetchedIsNeverClassified) {
  const JobRequest request = submit("an image");
  ASSERT_TRUE(cancel(request));
  run();
  EXPECT_EQ(classified(), 0);
  ASSERT_TRUE(answer_to(request.job).error);
  EXPECT_EQ(answer_to(request.job).error->code, kCancelledCode);
  EXPECT_EQ(stored(request.job).error->code, kCancelledCode);
  EXPECT_THAT(requests_->bodies(), IsEmpty());
  EXPECT_THAT(dead_->bodies(), IsEmpty());
  EXPECT_THAT(metrics_.scrape(), testing::Not(testing::HasSubstr("outcome=\"labelled\"} 1")));
}

TEST_F(WorkerCancelTest, ARedeliveryOfACancelledJobIsAnsweredWithThat) {
  const JobRequest request = submit("an image");
  deliver_once();
  ASSERT_TRUE(cancel(request));
  run();
  EXPECT_EQ(classified(), 0);
  EXPECT_EQ(answer_to(request.job).error->code, kCancelledCode);
}

// Whenever in a worker's work the client cancels: before the result is stored it is cancelled, after that it is done.
TEST_F(WorkerCancelTest, TheFirstResultStaysWheneverItIsCancelled) {
  constexpr std::array kSteps = {JobStep::received,   JobStep::parsed, JobStep::fetched,
                                 JobStep::classified, JobStep::stored, JobStep::answered};
  settings_.worker.threads = 1;
  for (std::uint64_t seed = 0; seed < 24; ++seed) {
    SplitMix64 rng(seed);
    const JobStep when = kSteps[rng.next() % kSteps.size()];
    const bool again = rng.next() % 2 == 0;  // the message is delivered a second time after that
    const JobRequest request = submit("image " + std::to_string(seed));
    const int classified_before = classified();
    std::optional<bool> cancelled;
    WorkerPorts with_cancel = ports();
    with_cancel.on_step = [&](JobStep step) {
      if (step == when && !cancelled) cancelled = cancel(request);
    };
    start(with_cancel);
    finish();
    if (again) {
      requests_->push(to_json(request));
      run();
    }
    ASSERT_TRUE(cancelled.has_value()) << seed;
    EXPECT_EQ(*cancelled, when < JobStep::stored) << seed;
    const JobResult result = stored(request.job);
    EXPECT_EQ(result.error.has_value(), *cancelled) << seed;
    EXPECT_EQ(outputs_.writes(result_key(request.job)), 1) << seed;
    const auto all = answers();
    EXPECT_GE(all.count(request.job), 1U) << seed;
    for (auto [at, end] = all.equal_range(request.job); at != end; ++at) {
      EXPECT_EQ(at->second.error.has_value(), *cancelled) << seed;
    }
    const bool fetched = when >= JobStep::fetched;
    if (!fetched) {
      EXPECT_EQ(classified(), classified_before) << seed;
    }
  }
  EXPECT_THAT(requests_->bodies(), IsEmpty());
  EXPECT_THAT(dead_->bodies(), IsEmpty());
}

}  // namespace
}  // namespace imgrec::worker_cancel_test
