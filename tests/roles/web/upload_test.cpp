#include "roles/web/upload/upload.hpp"

#include <gtest/gtest.h>

#include <latch>

#include "tests/roles/web/web_node.hpp"
#include "tests/support/fake_clock.hpp"

namespace imgrec::upload_test {
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
  TaskPool pool{4, 1'000};
  Uploader uploader{
      {.inputs = inputs, .requests = requests, .router = router, .pool = pool, .clock = clock, .rng = rng},
      {.backoff = {.base = 100ms, .max = 1s}, .outage_max = 3s}};

  ~UploadTest() override {
    pool.stop();
    uploader.stop();
  }

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
    std::vector<ImageUpload> images;
    images.push_back(std::move(image));
    uploader.start(std::move(images));
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

TEST_F(UploadTest, OthersAreRefusedWhenTheOutageLasts) {
  requests.faults.set_outage(Error{ErrorKind::transient, "connection_failed", "No queue."});
  const JobId job = new_job();
  const auto request = upload(job, false);
  const MonoTime begin = clock.mono_now();
  ASSERT_TRUE(in_time([&] { return request->ended(); }));
  EXPECT_GE(clock.mono_now() - begin, 3s);
  EXPECT_EQ(uploader.outage()->code, "connection_failed");
  std::lock_guard lock(mutex);
  EXPECT_EQ(ended[request.get()].first, WaitEnd::answered);
  const Error told = ended[request.get()].second[0].refused.value();
  EXPECT_EQ(told.code, "connection_failed");
  EXPECT_EQ(told.kind, ErrorKind::transient);
  EXPECT_EQ(told.message.find("No queue."), std::string::npos) << "what failed is for the log";
}

TEST_F(UploadTest, WhateverTheStoreSaysARefusalIsTransientAndSaysNothingOfTheStore) {
  inputs.faults.set_outage(Error{ErrorKind::denied, "store_denied", "arn:aws:iam::1:role/x may not write."});
  const auto request = upload(new_job(), false);
  ASSERT_TRUE(in_time([&] { return request->ended(); }));
  std::lock_guard lock(mutex);
  const Error told = ended[request.get()].second[0].refused.value();
  EXPECT_EQ(told.kind, ErrorKind::transient);
  EXPECT_EQ(told.code, "store_denied");
  EXPECT_EQ(told.message.find("arn:"), std::string::npos);
}

TEST_F(UploadTest, TheFirstImageAfterALongOutageGetsIn) {
  inputs.faults.set_outage(Error{ErrorKind::transient, "disk_full", "No room."});
  const auto refused = upload(new_job(), false);
  ASSERT_TRUE(in_time([&] { return refused->ended(); }));
  ASSERT_TRUE(uploader.outage());
  EXPECT_TRUE(uploader.wants_probe());
  const auto probe = upload(new_job(), false);
  ASSERT_TRUE(in_time([&] { return probe->ended(); })) << "refused when its own attempt failed";
  inputs.faults.set_outage(std::nullopt);
  const auto first = upload(new_job(), false);
  EXPECT_TRUE(in_time([&] { return queued(1); }));
  EXPECT_FALSE(first->ended());
  EXPECT_FALSE(uploader.outage());
}

TEST_F(UploadTest, AnOutageThatNobodyHasMetForAWhileIsUnknown) {
  requests.faults.set_outage(test::injected_error());
  const auto refused = upload(new_job(), false);
  ASSERT_TRUE(in_time([&] { return refused->ended(); }));
  ASSERT_TRUE(uploader.outage());
  clock.advance(11s);
  EXPECT_FALSE(uploader.outage()) << "else a node that a load balancer has left would never come back";
}

TEST_F(UploadTest, AProbeEndsTheOutageAndLeavesNothing) {
  inputs.faults.set_outage(test::injected_error());
  const auto held = upload(new_job(), true);
  clock.advance(4s);
  ASSERT_TRUE(eventually([&] { return uploader.outage().has_value(); }));
  EXPECT_FALSE(uploader.probe_store());
  inputs.faults.set_outage(std::nullopt);
  EXPECT_TRUE(uploader.probe_store());
  EXPECT_FALSE(uploader.outage());
  ASSERT_TRUE(in_time([&] { return queued(1); }));
  EXPECT_EQ(inputs.keys().size(), 1U) << "the image alone";
}

// One thread that retried each image for itself took 12 to 52 s for 600.
TEST_F(UploadTest, AfterAnOutageAllGoOnAtOnceAndMeanwhileOneProbes) {
  inputs.faults.set_outage(Error{ErrorKind::denied, "read_only", "The file system is read-only."});
  std::vector<std::shared_ptr<PendingRequest>> held;
  for (int i = 0; i < 300; ++i) held.push_back(upload(new_job(), true));
  const int first_calls = inputs.faults.calls(StoreCall::put);
  EXPECT_LT(first_calls, 10) << "the others wait for the outcome of a probe";
  const MonoTime begin = clock.mono_now();
  ASSERT_TRUE(in_time([&] { return clock.mono_now() - begin > 10s; }));
  EXPECT_TRUE(eventually([&] { return uploader.delayed() == 300; })) << "but while one is the probe";
  inputs.faults.set_outage(std::nullopt);
  const MonoTime over = clock.mono_now();
  ASSERT_TRUE(in_time([&] { return uploader.delayed() == 0; }));
  EXPECT_LT(clock.mono_now() - over, 1s + 1s) << "the longest pause, and what time runs ahead of the threads here";
  EXPECT_TRUE(in_time([&] { return queued(300); }));
  EXPECT_FALSE(uploader.outage());
  for (const auto& request : held) EXPECT_FALSE(request->ended());
}

TEST_F(UploadTest, AFaultOfTheImageIsRefusedAtOnceAndIsNoOutage) {
  inputs.faults.fail_next(StoreCall::put, 1, Error{ErrorKind::invalid, "bad_key", "Never."});
  EXPECT_TRUE(upload(new_job(), true)->ended());
  EXPECT_EQ(inputs.faults.calls(StoreCall::put), 1);
  upload(new_job(), true);
  EXPECT_TRUE(eventually([&] { return queued(1); }));
}

TEST_F(UploadTest, PartialFailureConcernsOneImage) {
  requests.faults.fail_next_elements(QueueCall::send, 1, Error{ErrorKind::invalid, "bad_message", "Never."});
  const auto refused = upload(new_job(), true);
  const auto accepted = upload(new_job(), true);
  ASSERT_TRUE(eventually([&] { return refused->ended() && queued(1); }));
  EXPECT_FALSE(accepted->ended());
}

TEST_F(UploadTest, AnEndedRequestIsNotTriedAgain) {
  inputs.faults.set_outage(test::injected_error());
  const auto request = upload(new_job(), true);
  EXPECT_EQ(uploader.delayed(), 1U);
  request->reach_deadline();
  inputs.faults.set_outage(std::nullopt);
  ASSERT_TRUE(in_time([&] { return uploader.delayed() == 0; }));
  EXPECT_TRUE(inputs.keys().empty());
}

TEST_F(UploadTest, AnImageWhoseClientLeftWhileItWasStoredIsRemovedAndNotSent) {
  std::latch storing(1), go(1);
  inputs.faults.on_call([&](StoreCall call) {
    if (call != StoreCall::put) return;
    storing.count_down();
    go.wait();
  });
  std::jthread client([&] { upload(new_job(), false); });
  storing.wait();
  EXPECT_EQ(router.waiting_clients(), 1U);
  router.refuse_waiting({ErrorKind::transient, "gone", "The test ends it."});
  go.count_down();
  client.join();
  EXPECT_TRUE(eventually([&] { return inputs.keys().empty() && inputs.faults.calls(StoreCall::remove) > 0; }));
  EXPECT_TRUE(requests.bodies().empty());
  EXPECT_EQ(router.pending_jobs(), 0U);
}

TEST_F(UploadTest, CancelledJobsLoseTheirImagesAndArePendingNoLonger) {
  std::vector<JobId> jobs;
  for (int i = 0; i < 3; ++i) upload(jobs.emplace_back(new_job()), true);
  ASSERT_TRUE(eventually([&] { return queued(3); }));
  EXPECT_EQ(router.pending_jobs(), 3U);
  uploader.cancel({jobs[0], jobs[2]});
  EXPECT_EQ(router.pending_jobs(), 1U);
  EXPECT_TRUE(eventually([&] { return inputs.keys() == std::vector{input_key(jobs[1])}; }));
}

TEST_F(UploadTest, SeveralImagesOfOneRequestAreStoredSideBySide) {
  std::latch both(2);
  inputs.faults.on_call([&](StoreCall call) {
    if (call == StoreCall::put) both.arrive_and_wait();
  });
  std::vector<ImageUpload> images(2);
  auto request = std::make_shared<PendingRequest>(
      std::vector<ImageSlot>(2), PendingRequest::Options{.deadline = clock.mono_now() + 900s},
      [this](const PendingRequest* self, WaitEnd, std::vector<ImageSlot>) { router.forget(self); });
  router.watch(request);
  for (std::size_t i = 0; i < 2; ++i) {
    images[i].job.job = new_job();
    images[i].job.session = SessionId("s");
    images[i].job.input.key = input_key(images[i].job.job);
    images[i].request = request;
    images[i].index = i;
  }
  uploader.start(std::move(images));
  EXPECT_TRUE(eventually([&] { return queued(2); }));
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
  TaskPool pool(1, 10);
  Uploader uploader(
      {.inputs = inputs, .requests = requests, .router = router, .pool = pool, .clock = clock, .rng = rng},
      {.fifo = true});
  ImageUpload image;
  image.job.job = make_job_id(clock.wall_now(), rng);
  image.job.session = SessionId("group-1");
  image.job.input.key = input_key(image.job.job);
  image.request = std::make_shared<PendingRequest>(std::vector<ImageSlot>(1),
                                                   PendingRequest::Options{.deadline = clock.mono_now() + 900s},
                                                   [](const PendingRequest*, WaitEnd, std::vector<ImageSlot>) {});
  router.watch(image.request);
  std::vector<ImageUpload> images;
  images.push_back(std::move(image));
  uploader.start(std::move(images));
  ASSERT_TRUE(eventually([&] { return requests.bodies().size() == 1; }));
  EXPECT_EQ(requests.receive({}, {})->at(0).group_id, "group-1");
  pool.stop();
}

}  // namespace
}  // namespace imgrec::upload_test
