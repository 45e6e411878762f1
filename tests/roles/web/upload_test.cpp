#include "roles/web/upload.hpp"

#include <gtest/gtest.h>

#include <latch>

#include "tests/roles/web/web_node.hpp"
#include "tests/support/fake_clock.hpp"

namespace imgrec {
namespace {

using namespace std::chrono_literals;
using test::eventually;
using test::QueueCall;
using test::StoreCall;

class UploadTest : public testing::Test {
 protected:
  // First, as the router's end still writes to it.
  std::mutex mutex;
  std::map<const PendingRequest*, std::pair<WaitEnd, std::vector<ImageSlot>>> ended;
  test::FakeClock clock;
  test::SeededRng rng;
  test::MemoryQueue requests{clock}, responses{clock};
  test::MemoryStore inputs{clock}, outputs{clock};
  ResultRouter router{{.responses = responses, .outputs = outputs, .clock = clock, .rng = rng}};
  Uploader uploader{{.inputs = inputs, .requests = requests, .router = router, .clock = clock, .rng = rng},
                    {.pending_jobs_max = 5, .backoff = {.base = 100ms, .max = 1s}}};

  std::shared_ptr<PendingRequest> upload(const JobId& job, bool held) {
    std::vector<ImageSlot> slots(1);
    slots[0].job = job;
    auto request = std::make_shared<PendingRequest>(
        std::move(slots), PendingRequest::Options{.deadline = clock.mono_now() + 900s, .accept_at_deadline = !held},
        [this](const PendingRequest* self, WaitEnd how, std::vector<ImageSlot> done) {
          router.forget(self);
          std::lock_guard lock(mutex);
          ended[self] = {how, std::move(done)};
        });
    router.watch(request);
    ImageUpload image;
    image.job.job = job;
    image.job.session = SessionId("s");
    image.job.input.key = input_key(job);
    image.body = std::make_shared<const std::string>("bytes of " + job.str());
    image.bytes = *image.body;
    image.request = request;
    image.held = held;
    uploader.start(std::move(image));
    return request;
  }
  JobId new_job() { return make_job_id(clock.wall_now(), rng); }
  bool queued(std::size_t count) { return requests.bodies().size() == count; }
  /// Lets time pass until it is true.
  bool in_time(const std::function<bool()>& condition) {
    return eventually([&] {
      clock.advance(50ms);
      return condition();
    });
  }
};

TEST_F(UploadTest, StoresExpectsAndSends) {
  const JobId job = new_job();
  upload(job, true);
  ASSERT_TRUE(eventually([&] { return queued(1); }));
  EXPECT_EQ(parse_job_request(requests.bodies()[0])->job, job);
  EXPECT_EQ(inputs.get(input_key(job), 1000).value().bytes, "bytes of " + job.str());
  EXPECT_TRUE(router.expects(job));
}

TEST_F(UploadTest, TheAnswerIsExpectedBeforeTheRequestIsSent) {
  const JobId job = new_job();
  std::atomic<int> sends_unexpected = 0;
  requests.faults.on_call([&](QueueCall call) {
    if (call == QueueCall::send && (!router.expects(job) || !inputs.head(input_key(job)))) ++sends_unexpected;
  });
  upload(job, true);
  ASSERT_TRUE(eventually([&] { return queued(1); }));
  EXPECT_EQ(sends_unexpected, 0);
}

TEST_F(UploadTest, AHeldClientsImageGetsThroughAnyOutage) {
  inputs.faults.fail_next(StoreCall::put, 7);
  requests.faults.fail_next(QueueCall::send, 7);
  const auto request = upload(new_job(), true);
  EXPECT_TRUE(in_time([&] { return queued(1); }));
  EXPECT_FALSE(request->ended());
}

TEST_F(UploadTest, OthersAreRefusedAfterAFewTries) {
  requests.faults.set_outage(Error{ErrorKind::transient, "connection_failed", "No queue."});
  const JobId job = new_job();
  const auto request = upload(job, false);
  ASSERT_TRUE(in_time([&] { return request->ended(); }));
  std::lock_guard lock(mutex);
  EXPECT_EQ(ended[request.get()].first, WaitEnd::answered);
  EXPECT_EQ(ended[request.get()].second[0].refused->code, "connection_failed");
  EXPECT_EQ(requests.faults.calls(QueueCall::send), 3);
  EXPECT_FALSE(router.expects(job));
}

TEST_F(UploadTest, WhatTimeCannotMendIsRefusedAtOnce) {
  inputs.faults.fail_next(StoreCall::put, 1, Error{ErrorKind::denied, "access_denied", "No rights."});
  EXPECT_TRUE(upload(new_job(), true)->ended());
  EXPECT_EQ(inputs.faults.calls(StoreCall::put), 1);
}

TEST_F(UploadTest, PartialFailureConcernsOneImage) {
  requests.faults.fail_next_elements(QueueCall::send, 1, Error{ErrorKind::denied, "access_denied", "No rights."});
  const auto refused = upload(new_job(), true);
  const auto accepted = upload(new_job(), true);
  ASSERT_TRUE(eventually([&] { return refused->ended() && queued(1); }));
  EXPECT_FALSE(accepted->ended());
}

TEST_F(UploadTest, BeyondTheLimitHeldImagesWaitAndOthersAreRefused) {
  std::vector<JobId> jobs;
  for (int i = 0; i < 5; ++i) upload(jobs.emplace_back(new_job()), true);
  const auto held = upload(new_job(), true);
  const auto other = upload(new_job(), false);
  ASSERT_TRUE(in_time([&] { return other->ended(); }));
  {
    std::lock_guard lock(mutex);
    EXPECT_EQ(ended[other.get()].second[0].refused->code, "too_many_pending");
  }
  EXPECT_TRUE(eventually([&] { return queued(5); }));
  EXPECT_FALSE(held->ended());
  JobResult result;
  result.job = jobs[0];
  result.session = SessionId("s");
  result.labels = {{.index = 0, .wnid = "", .label = "x", .score = 1}};
  responses.push(to_json(result));
  EXPECT_TRUE(in_time([&] { return queued(6); }));
}

TEST_F(UploadTest, AnEndedRequestIsNotTriedAgain) {
  inputs.faults.set_outage(test::injected_error());
  const auto request = upload(new_job(), true);
  EXPECT_EQ(uploader.delayed(), 1U);
  request->reach_deadline();
  ASSERT_TRUE(in_time([&] { return uploader.delayed() == 0; }));
  EXPECT_EQ(inputs.faults.calls(StoreCall::put), 1);
}

TEST(SendBatcher, WhatGathersDuringASendLeavesTogether) {
  test::MemoryQueue queue(system_clock());
  std::latch sending(1), go(1);
  std::atomic<int> calls = 0;
  queue.faults.on_call([&](QueueCall call) {
    if (call != QueueCall::send || calls++ > 0) return;
    sending.count_down();
    go.wait();
  });
  std::atomic<int> sent = 0;
  SendBatcher batcher(queue, system_clock(), {});
  const auto push = [&] {
    OutgoingMessage message;
    message.body = "m";
    batcher.push(std::move(message), [&](Result<MessageId> outcome) { sent += outcome.has_value(); });
  };
  push();
  sending.wait();
  for (int i = 0; i < 25; ++i) push();
  go.count_down();
  batcher.stop();
  EXPECT_EQ(sent, 26);
  EXPECT_EQ(calls, 1 + 3);  // 1, then 10 + 10 + 5
  push();
  EXPECT_EQ(sent, 26) << "after stop() a message is refused";
}

TEST(SendBatcher, FifoMessagesCarryGroupAndDedup) {
  test::FakeClock clock;
  test::SeededRng rng;
  test::MemoryQueue requests(clock, {.fifo = true, .receives_max = 0, .dead_letter = nullptr}), responses(clock);
  test::MemoryStore inputs(clock), outputs(clock);
  ResultRouter router({.responses = responses, .outputs = outputs, .clock = clock, .rng = rng});
  Uploader uploader({.inputs = inputs, .requests = requests, .router = router, .clock = clock, .rng = rng},
                    {.fifo = true});
  ImageUpload image;
  image.job.job = make_job_id(clock.wall_now(), rng);
  image.job.session = SessionId("group-1");
  image.job.input.key = input_key(image.job.job);
  image.request = std::make_shared<PendingRequest>(std::vector<ImageSlot>(1), PendingRequest::Options{},
                                                   [](const PendingRequest*, WaitEnd, std::vector<ImageSlot>) {});
  uploader.start(std::move(image));
  ASSERT_TRUE(eventually([&] { return requests.bodies().size() == 1; }));
  EXPECT_EQ(requests.receive({}, {})->at(0).group_id, "group-1");
}

}  // namespace
}  // namespace imgrec
