// A whole worker over fakes: requests go in, answers come out, and time moves only as the test says.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "lib/base/digest.hpp"
#include "lib/base/log.hpp"
#include "roles/worker/worker.hpp"
#include "tests/support/fake_classifier.hpp"
#include "tests/support/fake_clock.hpp"
#include "tests/support/memory_queue.hpp"
#include "tests/support/memory_store.hpp"
#include "tests/support/wait_until.hpp"

namespace imgrec::test {

inline constexpr auto kReplies = "imgrec-responses-a";

class WorkerFixture : public testing::Test {
 protected:
  WorkerFixture() {
    log::configure({.level = log::Level::error, .role = {}});
    settings_.worker.id = "w-1";
    settings_.worker.app_tier_id = "app-tier-1";
    settings_.worker.threads = 2;
    settings_.worker.exit_when_idle = Seconds(3);
  }
  ~WorkerFixture() override {
    classifiers_.release();
    worker_.request_stop();
    end();
  }

  /// Stores an image and queues the request for it.
  JobRequest submit(const std::string& image, const std::string& name = "photo.jpg") {
    JobRequest request = make_request(image, name);
    submit(request, image);
    return request;
  }
  void submit(const JobRequest& request, const std::string& image) {
    EXPECT_TRUE(inputs_.put(request.input.key, image, {}));
    requests_->push(to_json(request));
    images_[request.job] = image;
  }
  JobRequest make_request(const std::string& image, const std::string& name = "photo.jpg") {
    JobRequest request;
    request.job = make_job_id(clock_.wall_now(), rng_);
    request.session = SessionId("session-1");
    request.name = name;
    request.input = {
        .bucket = "inputs", .key = input_key(request.job), .bytes = image.size(), .sha256 = sha256_hex(image)};
    request.top_k = 2;
    request.reply_to = kReplies;
    request.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    request.submitted_at = clock_.wall_now();
    request.expires_at = clock_.wall_now() + Seconds(900);
    return request;
  }

  /// The first message is delivered to a worker that dies before it does anything: from now on it is a suspect.
  void deliver_once() {
    ASSERT_EQ(requests_->receive({.messages_max = 1}, {})->size(), 1u);
    requests_->expire_leases();
  }

  WorkerPorts ports() {
    return {.requests = *requests_,
            .replies = queues_,
            .dead_letters = *dead_,
            .inputs = inputs_,
            .outputs = outputs_,
            .objects = objects_,
            .make_classifier = classifiers_.factory(),
            .clock = clock_,
            .rng = rng_,
            .metrics = metrics_};
  }

  void start() { start(ports()); }
  void start(WorkerPorts worker_ports) {
    ended_ = false;
    worker_ = std::jthread([this, worker_ports = std::move(worker_ports)](const std::stop_token& stop) {
      outcome_ = run_worker(settings_, worker_ports, stop);
      ended_ = true;
    });
  }
  /// Lets time pass until the condition holds; fails the test when it does not within two minutes of real time.
  template <class Condition>
  void until(Condition condition, Millis step = Millis(10)) {
    const auto give_up = std::chrono::steady_clock::now() + Seconds(120);
    while (!condition()) {
      ASSERT_LT(std::chrono::steady_clock::now(), give_up) << "the condition never came true";
      if (step > Millis(0)) clock_.advance(step);
      // Time must not run away from the threads that live in it: a lease would end before its keeper could act.
      wait_until(condition, std::chrono::microseconds(100));
    }
  }
  /// Waits for it without a moment passing on the worker's clock.
  template <class Condition>
  void at_once(Condition condition) {
    until(condition, Millis(0));
  }
  /// Time goes on until the worker has ended: after a failure too, where waiting for a worker that sleeps would never
  /// end.
  void end() {
    while (worker_.joinable() && !ended_) {
      clock_.advance(Millis(10));
      wait_until([&] { return ended_.load(); }, std::chrono::microseconds(100));
    }
    if (worker_.joinable()) worker_.join();
  }
  /// Until the worker ended by itself (idle).
  void finish() {
    until([&] { return ended_.load(); });
    end();
  }
  void run() {
    start();
    finish();
  }

  /// Queues the request for an image in a bucket of somebody else.
  JobRequest refer_to(const ObjectReference& object) {
    JobRequest request = make_request(to_json(object));
    request.object = object;
    EXPECT_TRUE(inputs_.put(request.input.key, to_json(object), {}));
    requests_->push(to_json(request));
    return request;
  }

  std::shared_ptr<MemoryQueue> replies() { return queues_.queue(kReplies); }
  /// All answers sent so far, by job.
  std::multimap<JobId, JobResult> answers() {
    std::multimap<JobId, JobResult> found;
    for (const std::string& body : replies()->bodies()) {
      const auto result = parse_job_result(body);
      EXPECT_TRUE(result) << body;
      if (result) found.emplace(result->job, *result);
    }
    return found;
  }
  JobResult answer_to(const JobId& job) {
    const auto all = answers();
    EXPECT_GE(all.count(job), 1u) << "no answer to " << job;
    return all.contains(job) ? all.find(job)->second : JobResult();
  }
  JobResult stored(const JobId& job) {
    const auto document = bytes_of(outputs_.get(result_key(job), kMiB));
    EXPECT_TRUE(document) << "no result of " << job;
    return document ? *parse_job_result(*document) : JobResult();
  }
  /// Every job: one result, one answer or more, each with the label of its own image; nothing left over.
  void expect_all_done() {
    const auto all = answers();
    for (const auto& [job, image] : images_) {
      EXPECT_EQ(outputs_.writes(result_key(job)), 1) << "results of " << job;
      ASSERT_FALSE(stored(job).error) << stored(job).error->code;
      EXPECT_EQ(stored(job).labels.at(0).label, FakeClassifiers::label_of(image));
      EXPECT_GE(all.count(job), 1u) << "answers to " << job;
    }
    for (const auto& [job, answer] : all) {
      ASSERT_TRUE(images_.contains(job));
      ASSERT_FALSE(answer.error) << answer.error->code;
      EXPECT_EQ(answer.labels.at(0).label, FakeClassifiers::label_of(images_[job])) << "mismatched: " << job;
    }
    EXPECT_TRUE(requests_->bodies().empty());
    EXPECT_TRUE(dead_->bodies().empty());
  }
  std::uint64_t visible() { return requests_->depth()->visible; }

  FakeClock clock_;
  SeededRng rng_;
  Metrics metrics_;
  MemoryQueues queues_{clock_};
  std::shared_ptr<MemoryQueue> requests_ = queues_.create("imgrec-requests");
  std::shared_ptr<MemoryQueue> dead_ = queues_.create("imgrec-dead");
  MemoryStore inputs_{clock_}, outputs_{clock_};
  std::shared_ptr<ObjectReader> objects_;
  FakeClassifiers classifiers_{clock_};
  WorkerSettings settings_;
  std::map<JobId, std::string> images_;
  Result<void> outcome_;
  std::atomic<bool> ended_ = true;
  std::jthread worker_;
};

}  // namespace imgrec::test
