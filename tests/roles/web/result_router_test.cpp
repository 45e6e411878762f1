#include "roles/web/results/result_router.hpp"

#include <gtest/gtest.h>

#include <atomic>

#include "tests/roles/web/web_node.hpp"
#include "tests/support/fake_clock.hpp"

namespace imgrec::result_router_test {
namespace {

using namespace std::chrono_literals;
using test::eventually;

struct Ended {
  WaitEnd how{};
  std::vector<ImageSlot> slots;
};

// The router on a clock of its own; its two threads sleep on that clock whenever they have nothing to do.
class ResultRouterTest : public testing::Test {
 protected:
  // First, as the router's end still writes to it.
  std::mutex mutex;
  std::map<const PendingRequest*, std::vector<Ended>> ended;
  test::FakeClock clock;
  test::SeededRng rng;
  test::MemoryQueue responses{clock};
  test::MemoryStore outputs{clock};
  std::atomic<int> recorded = 0;
  ResultRouter router{
      {.responses = responses, .outputs = outputs, .clock = clock, .rng = rng, .on_result = [this](const JobResult&) {
         ++recorded;
       }}};

  JobResult result_for(const JobId& job) {
    JobRequest request;
    request.job = job;
    request.session = SessionId("s");
    request.top_k = 1;
    const std::string image = test::jpeg_of("label of " + job.str());
    request.input = {.bucket = "inputs", .key = input_key(job), .bytes = image.size(), .sha256 = ""};
    JobResult result = test::answer_of(request, image);
    result.error.reset();
    result.labels = {{.index = 1, .wnid = "", .label = "label of " + job.str(), .score = 0.5}};
    return result;
  }

  std::shared_ptr<PendingRequest> wait_for(const std::vector<JobId>& jobs, Millis longest, bool accept = false) {
    std::vector<ImageSlot> slots(jobs.size());
    for (std::size_t i = 0; i < jobs.size(); ++i) slots[i].job = jobs[i];
    auto request = std::make_shared<PendingRequest>(
        std::move(slots), PendingRequest::Options{.deadline = clock.mono_now() + longest, .accept_at_deadline = accept},
        [this](const PendingRequest* self, WaitEnd how, std::vector<ImageSlot> done) {
          router.forget(self);
          std::lock_guard lock(mutex);
          ended[self].push_back({how, std::move(done)});
        });
    router.watch(request);
    for (std::size_t i = 0; i < jobs.size(); ++i) router.expect(jobs[i], request, i);
    return request;
  }

  JobId new_job() { return make_job_id(clock.wall_now(), rng); }
  std::vector<Ended> ends_of(const std::shared_ptr<PendingRequest>& request) {
    std::lock_guard lock(mutex);
    return ended[request.get()];
  }
  /// Lets time pass until it is true.
  bool in_time(const std::function<bool()>& condition, Millis step = 5ms) {
    return eventually([&] {
      clock.advance(step);
      return condition();
    });
  }
  bool all_removed() { return responses.bodies().empty(); }
};

TEST_F(ResultRouterTest, WakesEachWaiterWithItsOwnAnswerWhateverTheOrder) {
  std::vector<JobId> jobs;
  std::vector<std::shared_ptr<PendingRequest>> requests;
  for (int i = 0; i < 50; ++i) {
    jobs.push_back(new_job());
    requests.push_back(wait_for({jobs.back()}, 900s));
  }
  for (int i = 49; i >= 0; --i) responses.push(to_json(result_for(jobs[static_cast<std::size_t>(i)])));
  ASSERT_TRUE(in_time([&] { return router.waiting_clients() == 0; }));
  for (std::size_t i = 0; i < 50; ++i) {
    const auto ends = ends_of(requests[i]);
    ASSERT_EQ(ends.size(), 1U);
    EXPECT_EQ(ends[0].how, WaitEnd::answered);
    EXPECT_EQ(ends[0].slots[0].result->labels[0].label, "label of " + jobs[i].str());
  }
  EXPECT_TRUE(eventually([&] { return all_removed(); }));
  EXPECT_EQ(router.pending_jobs(), 0U);
}

TEST_F(ResultRouterTest, AGroupEndsWithItsLastAnswer) {
  const JobId first = new_job(), second = new_job();
  const auto request = wait_for({first, second}, 900s);
  responses.push(to_json(result_for(second)));
  ASSERT_TRUE(eventually([&] { return router.pending_jobs() == 1; }));
  EXPECT_FALSE(request->ended());
  responses.push(to_json(result_for(first)));
  ASSERT_TRUE(eventually([&] { return request->ended(); }));
  const auto ends = ends_of(request);
  EXPECT_EQ(ends[0].slots[0].result->job, first);
  EXPECT_EQ(ends[0].slots[1].result->job, second);
}

TEST_F(ResultRouterTest, DuplicatesUnknownJobsAndGarbageAreRemovedWithoutHarm) {
  const JobId job = new_job();
  const auto request = wait_for({job}, 900s);
  responses.push("no json");
  responses.push(to_json(result_for(new_job())));
  for (int i = 0; i < 3; ++i) responses.push(to_json(result_for(job)));
  ASSERT_TRUE(eventually([&] { return all_removed(); }));
  EXPECT_EQ(ends_of(request).size(), 1U);
}

TEST_F(ResultRouterTest, FailingReceiveIsTriedAgainWithAPause) {
  responses.faults.fail_next(test::QueueCall::receive, 2);
  const JobId job = new_job();
  const auto request = wait_for({job}, 900s);
  responses.push(to_json(result_for(job)));
  // Whether the first receive had begun before the faults were planned or not: it comes through as time passes.
  ASSERT_TRUE(eventually([&] {
    clock.advance(100ms);
    return request->ended();
  }));
}

TEST_F(ResultRouterTest, ALostResponseIsFoundInTheStore) {
  const JobId job = new_job();
  const auto request = wait_for({job}, 900s);
  ASSERT_TRUE(outputs.put(result_key(job), to_json(result_for(job)), {}));
  clock.wait_for_sleepers(2);
  EXPECT_EQ(outputs.faults.calls(test::StoreCall::get), 0) << "not before its time";
  ASSERT_TRUE(eventually([&] {
    clock.advance(500ms);
    return request->ended();
  }));
  EXPECT_EQ(ends_of(request)[0].slots[0].result->job, job);
  EXPECT_EQ(recorded, 1);
}

TEST_F(ResultRouterTest, ANewWaiterWakesTheSleepingTimer) {
  const auto longest = wait_for({}, 800s);
  const auto before = wait_for({}, 5s);
  ASSERT_TRUE(eventually([&] {
    clock.advance(500ms);
    return before->ended();
  }));
  // The timer has nothing to look up: it sleeps until the deadline of `longest`; a later deadline does not wake it.
  clock.wait_for_sleepers(2);
  const MonoTime begin = clock.mono_now();
  const JobId job = new_job();
  ASSERT_TRUE(outputs.put(result_key(job), to_json(result_for(job)), {}));
  const auto request = wait_for({job}, 900s);
  ASSERT_TRUE(eventually([&] {
    if (clock.mono_now() - begin < 60s) clock.advance(500ms);
    return request->ended();
  }));
  EXPECT_FALSE(longest->ended());
}

TEST_F(ResultRouterTest, LookUpsAreFewAndGrowRarer) {
  std::vector<JobId> jobs;
  for (int i = 0; i < 100; ++i) jobs.push_back(new_job());
  const auto request = wait_for(jobs, 360'000s);
  const MonoTime begin = clock.mono_now();
  const auto time_of_look_ups = [&](int count) {
    EXPECT_TRUE(eventually([&] {
      clock.advance(250ms);
      return outputs.faults.calls(test::StoreCall::get) >= count;
    }));
    return clock.mono_now() - begin;
  };
  // Four are looked up after 3 s; then four more in rounds that grow rarer, as they find nothing.
  EXPECT_GE(time_of_look_ups(1), 3s);
  EXPECT_GE(time_of_look_ups(5), 3s + 500ms);
  EXPECT_GE(time_of_look_ups(21), 3s + 15s);
  const auto twenty_nine = time_of_look_ups(29);
  EXPECT_GE(time_of_look_ups(41) - twenty_nine, 85s) << "four in half a minute at most";
  EXPECT_FALSE(request->ended());
}

TEST_F(ResultRouterTest, ManyLostResponsesAreFoundSoon) {
  std::vector<JobId> jobs;
  for (int i = 0; i < 100; ++i) {
    jobs.push_back(new_job());
    ASSERT_TRUE(outputs.put(result_key(jobs.back()), to_json(result_for(jobs.back())), {}));
  }
  const auto request = wait_for(jobs, 900s);
  const MonoTime begin = clock.mono_now();
  ASSERT_TRUE(in_time([&] { return request->ended(); }, 50ms));
  EXPECT_LT(clock.mono_now() - begin, 3s + 20s);  // time runs ahead of the threads here: without that, 5 s
  EXPECT_EQ(outputs.faults.calls(test::StoreCall::get), 100);
}

TEST_F(ResultRouterTest, WhoWaitsNoLongerThanOthersIsNotLookedUp) {
  std::vector<JobId> jobs;
  std::vector<std::shared_ptr<PendingRequest>> requests;
  const auto expect_one = [&] { requests.push_back(wait_for({jobs.emplace_back(new_job())}, 900s)); };
  for (int i = 0; i < 40; ++i) expect_one();
  // All are answered after 2.9 s; those that come then wait for up to four times as long without a look-up.
  const MonoTime begin = clock.mono_now();
  clock.advance(2'900ms);
  for (int i = 0; i < 39; ++i) responses.push(to_json(result_for(jobs[static_cast<std::size_t>(i)])));
  ASSERT_TRUE(in_time([&] { return router.waiting_clients() == 1 || clock.mono_now() - begin > 11s; }));
  ASSERT_EQ(router.waiting_clients(), 1U);
  ASSERT_TRUE(in_time([&] { return clock.mono_now() - begin > 10s; }, 250ms));
  clock.wait_for_sleepers(2);
  EXPECT_EQ(outputs.faults.calls(test::StoreCall::get), 0);
  ASSERT_TRUE(in_time([&] { return outputs.faults.calls(test::StoreCall::get) == 1; }, 250ms));
}

TEST_F(ResultRouterTest, ACrowdsResponsesAreRemovedInFullBatches) {
  std::vector<JobId> jobs;
  std::vector<std::shared_ptr<PendingRequest>> requests;
  for (int i = 0; i < 101; ++i) requests.push_back(wait_for({jobs.emplace_back(new_job())}, 900s));
  clock.wait_for_sleepers(2);
  EXPECT_EQ(router.linger(), 5ms) << "a crowd; how long answers take is not known yet";
  for (int i = 0; i < 100; ++i) responses.push(to_json(result_for(jobs[static_cast<std::size_t>(i)])));
  ASSERT_TRUE(in_time([&] { return all_removed(); }));
  EXPECT_LE(responses.faults.calls(test::QueueCall::remove), 20);
  EXPECT_EQ(router.linger(), 0ms) << "one alone";
  responses.push(to_json(result_for(jobs[100])));
  ASSERT_TRUE(eventually([&] { return all_removed(); })) << "nobody else waits: nothing gathers";
}

TEST_F(ResultRouterTest, DeadlineEndsOnceAndItsJobsStayPending) {
  const JobId job = new_job();
  const auto held = wait_for({job}, 10s);
  const auto polite = wait_for({new_job()}, 10s, true);
  polite->queued(0);
  const auto longer = wait_for({new_job()}, 1000s);
  ASSERT_TRUE(eventually([&] {
    clock.advance(1s);
    return held->ended() && polite->ended();
  }));
  EXPECT_EQ(ends_of(held)[0].how, WaitEnd::timed_out);
  EXPECT_EQ(ends_of(polite)[0].how, WaitEnd::accepted);
  EXPECT_FALSE(longer->ended());
  EXPECT_EQ(router.waiting_clients(), 1U);
  EXPECT_EQ(router.pending_jobs(), 3U) << "workers still have them";
  responses.push(to_json(result_for(job)));
  ASSERT_TRUE(in_time([&] { return all_removed(); }));
  EXPECT_EQ(ends_of(held).size(), 1U);
  EXPECT_EQ(router.pending_jobs(), 2U);
}

TEST_F(ResultRouterTest, AcceptedOnlyWhenQueued) {
  const auto request = wait_for({new_job(), new_job()}, 1s, true);
  request->queued(1);
  request->reach_deadline();
  EXPECT_FALSE(request->ended());
  request->queued(0);
  EXPECT_TRUE(request->ended());
  EXPECT_EQ(ends_of(request)[0].how, WaitEnd::accepted);
}

TEST_F(ResultRouterTest, StoppingTellsEveryWaiter) {
  const auto held = wait_for({new_job()}, 900s);
  const auto polite = wait_for({new_job()}, 900s, true);
  polite->queued(0);
  router.end_all_at(clock.mono_now() + 5s);
  ASSERT_TRUE(eventually([&] {
    clock.advance(1s);
    return held->ended() && polite->ended();
  }));
  EXPECT_EQ(ends_of(held)[0].how, WaitEnd::stopping);
  EXPECT_EQ(ends_of(polite)[0].how, WaitEnd::accepted);
  router.stop();
}

TEST_F(ResultRouterTest, TwoMayWaitForOneJob) {
  const JobId job = new_job();
  const auto first = wait_for({job}, 900s), second = wait_for({job}, 900s);
  router.forget(first.get());
  EXPECT_TRUE(router.expects(job));
  responses.push(to_json(result_for(job)));
  ASSERT_TRUE(eventually([&] { return second->ended(); }));
  EXPECT_FALSE(first->ended());
}

TEST_F(ResultRouterTest, WhoAsksForAJobOfAnotherNodeDoesNotMakeItPendingHere) {
  const JobId job = new_job();
  const auto asking = wait_for({}, 900s);
  router.await(job, asking, 0);
  EXPECT_TRUE(router.expects(job));
  EXPECT_EQ(router.pending_jobs(), 0U);
  router.forget(asking.get());
  EXPECT_FALSE(router.expects(job));
}

TEST_F(ResultRouterTest, ALostJobIsPendingNoLongerAfterItsTime) {
  const auto request = wait_for({new_job()}, 1s, true);
  request->queued(0);
  ASSERT_TRUE(in_time([&] { return request->ended(); }, 500ms));
  EXPECT_EQ(router.pending_jobs(), 1U);
  const MonoTime begin = clock.mono_now();
  ASSERT_TRUE(in_time([&] { return router.pending_jobs() == 0; }, 600s));
  EXPECT_GE(clock.mono_now() - begin, 23h);
}

TEST_F(ResultRouterTest, StalledWhileJobsWaitAndNoneIsAnswered) {
  EXPECT_FALSE(router.stalled());
  const JobId job = new_job();
  const auto held = wait_for({job, new_job()}, 900s), polite = wait_for({new_job()}, 900s, true);
  clock.advance(2s);
  EXPECT_FALSE(router.stalled());
  clock.advance(2s);
  EXPECT_TRUE(router.stalled());
  responses.push(to_json(result_for(job)));
  ASSERT_TRUE(eventually([&] { return router.pending_jobs() == 2; }));
  EXPECT_FALSE(router.stalled());
  EXPECT_TRUE(router.answered_within(1s));
  router.refuse_waiting({ErrorKind::transient, "model_damaged", "No worker can start."});
  EXPECT_TRUE(polite->ended());
  EXPECT_FALSE(held->ended()) << "a held client is never refused";
}

}  // namespace
}  // namespace imgrec::result_router_test
