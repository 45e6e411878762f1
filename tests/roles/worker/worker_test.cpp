// What a worker does with good and bad requests when nothing around it fails.
#include "roles/worker/worker.hpp"

#include <nlohmann/json.hpp>

#include "lib/base/base64.hpp"
#include "tests/roles/worker/worker_fixture.hpp"

namespace imgrec::worker_test {
namespace {

using test::FakeClassifiers;
using test::kReplies;
using test::QueueCall;
using test::StoreCall;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class WorkerTest : public test::WorkerFixture {};

TEST_F(WorkerTest, AnswersEveryImageWithItsOwnLabel) {
  settings_.worker.threads = 4;
  for (int i = 0; i < 120; ++i) submit("image " + std::to_string(i), "photo_" + std::to_string(i) + ".jpg");
  run();
  ASSERT_TRUE(outcome_) << describe(outcome_.error());
  expect_all_done();
  EXPECT_THAT(answers(), SizeIs(120));
  EXPECT_LT(requests_->faults.calls(QueueCall::receive), 120) << "requests come in batches";
}

TEST_F(WorkerTest, TheResultSaysWhatHappened) {
  const JobRequest request = submit("an image", "../a name\n.jpg");
  clock_.advance(Millis(250));
  run();
  const JobResult answer = answer_to(request.job);
  EXPECT_EQ(answer.job, request.job);
  EXPECT_EQ(answer.session, request.session);
  EXPECT_EQ(answer.name, "../a name\n.jpg");
  EXPECT_EQ(answer.model.name, "fake");
  EXPECT_EQ(answer.worker, WorkerId("w-1"));
  EXPECT_EQ(answer.app_tier_id, "app-tier-1");
  EXPECT_THAT(answer.labels, SizeIs(2));
  EXPECT_GE(answer.timings.queue_ms, 250);
  EXPECT_EQ(answer.timings.decode_ms, 1);
  EXPECT_EQ(answer.timings.preprocess_ms, 2);
  EXPECT_EQ(answer.timings.infer_ms, 3);
  JobResult in_store = stored(request.job);
  in_store.timings.store_ms = answer.timings.store_ms;  // not known before it is stored
  EXPECT_EQ(in_store, answer);
}

TEST_F(WorkerTest, AThumbnailComesWithTheLabelsOrTheyComeWithoutIt) {
  JobRequest request = make_request("a picture");
  request.thumbnail = 96;
  submit(request, "a picture");
  run();
  EXPECT_EQ(answer_to(request.job).thumbnail, base64_encode(FakeClassifiers::thumbnail_of("a picture", 96)));
  EXPECT_EQ(stored(request.job).thumbnail, answer_to(request.job).thumbnail);

  JobRequest other = make_request("another");
  other.thumbnail = 1'000'000;
  submit(other, "another");
  run();
  EXPECT_EQ(answer_to(other.job).thumbnail, base64_encode(FakeClassifiers::thumbnail_of("another", kThumbnailMax)));

  JobRequest without = make_request("no picture");
  without.thumbnail = 96;
  submit(without, "no picture");
  classifiers_.faults.fail_next(FakeClassifiers::Call::thumbnail, 1,
                                {ErrorKind::transient, "out_of_memory", "None left."});
  run();
  EXPECT_THAT(answer_to(without.job).labels, SizeIs(2));
  EXPECT_EQ(answer_to(without.job).thumbnail, "");
  EXPECT_THAT(requests_->bodies(), IsEmpty());
}

TEST_F(WorkerTest, ALoneMessageWaitsForNothing) {
  start();
  clock_.wait_for_sleepers(2);  // the lease keeper, and the long poll
  const JobRequest request = submit("an image");
  at_once([&] { return !replies()->bodies().empty() && requests_->bodies().empty(); });
  EXPECT_EQ(answer_to(request.job).labels.at(0).label, FakeClassifiers::label_of("an image"));
}

TEST_F(WorkerTest, AnExpiredRequestEndsUnclassified) {
  const JobRequest request = submit("an image");
  clock_.advance(Seconds(3600));
  run();
  ASSERT_TRUE(answer_to(request.job).error);
  EXPECT_EQ(answer_to(request.job).error->code, "expired");
  EXPECT_TRUE(answer_to(request.job).error->retryable);
  EXPECT_EQ(classifiers_.faults.calls(FakeClassifiers::Call::classify), 0);
  EXPECT_THAT(requests_->bodies(), IsEmpty());
  EXPECT_THAT(dead_->bodies(), IsEmpty());
}

TEST_F(WorkerTest, AnImageThatWasRemovedIsDroppedWithoutAWord) {
  const JobRequest request = submit("an image whose client left");
  ASSERT_TRUE(inputs_.remove({{request.input.key}}));
  run();
  EXPECT_THAT(replies()->bodies(), IsEmpty());
  EXPECT_THAT(outputs_.keys(), IsEmpty());
  EXPECT_THAT(requests_->bodies(), IsEmpty());
  EXPECT_THAT(dead_->bodies(), IsEmpty());
  EXPECT_THAT(metrics_.scrape(), HasSubstr("imgrec_worker_jobs_total{outcome=\"cancelled\"} 1"));
}

TEST_F(WorkerTest, AnImageThatWasRemovedAfterItsResultIsAnsweredFromTheStore) {
  const JobRequest request = submit("an image");
  run();
  ASSERT_TRUE(inputs_.remove({{request.input.key}}));
  requests_->push(to_json(request));
  run();
  EXPECT_THAT(answers(), SizeIs(2));
  expect_all_done();
}

TEST_F(WorkerTest, AMessageOfAnotherVersionWaitsForAWorkerOfThatVersion) {
  auto newer = nlohmann::json::parse(to_json(make_request("x")));
  newer["v"] = 2;
  newer["input"] = "elsewhere";
  requests_->push(newer.dump());
  settings_.worker.exit_when_idle = Seconds(0);
  start();
  until([&] { return requests_->depth()->delayed + requests_->depth()->in_flight == 1 && visible() == 0; });
  until([&] { return metrics_.scrape().find("outcome=\"returned\"} 3") != std::string::npos; }, Millis(500));
  worker_.request_stop();
  finish();
  EXPECT_THAT(requests_->bodies(), ElementsAre(newer.dump()));
  EXPECT_THAT(replies()->bodies(), IsEmpty());
  EXPECT_THAT(dead_->bodies(), IsEmpty());
}

TEST_F(WorkerTest, ATensorOfAnotherVersionWaitsForAWorkerOfThatVersion) {
  submit("imgrec-tensor 2 f16 3 2 2\nnumbers");
  const std::vector<std::string> sent = requests_->bodies();
  settings_.worker.exit_when_idle = Seconds(0);
  start();
  until([&] { return metrics_.scrape().find("outcome=\"returned\"} 3") != std::string::npos; }, Millis(500));
  worker_.request_stop();
  finish();
  EXPECT_EQ(requests_->bodies(), sent);
  EXPECT_THAT(replies()->bodies(), IsEmpty());
  EXPECT_THAT(outputs_.keys(), IsEmpty());
}

TEST_F(WorkerTest, AResultOfAnotherVersionStaysAndIsTheAnswer) {
  const JobRequest request = submit("an image");
  const std::string newer = R"({"v":2,"job":")" + request.job.str() + R"("})";
  ASSERT_TRUE(outputs_.put(result_key(request.job), newer, {}));
  run();
  EXPECT_EQ(outputs_.get(result_key(request.job), kMiB)->bytes, newer);
  EXPECT_THAT(replies()->bodies(), ElementsAre(newer));
  EXPECT_THAT(requests_->bodies(), IsEmpty());
}

TEST_F(WorkerTest, LabelsReplaceAStoredErrorAndNothingReplacesLabels) {
  const JobRequest request = submit("an image");
  JobResult refused{.job = request.job,
                    .session = request.session,
                    .name = request.name,
                    .model = {},
                    .labels = {},
                    .error = JobError{.code = "poison", .title = "t", .detail = "d", .retryable = false},
                    .timings = {},
                    .worker = WorkerId("w-2"),
                    .app_tier_id = "",
                    .completed_at = clock_.wall_now()};
  ASSERT_TRUE(outputs_.put(result_key(request.job), to_json(refused), {}));
  run();  // sent again from the dead letters
  EXPECT_FALSE(answer_to(request.job).error);
  EXPECT_EQ(stored(request.job).labels.at(0).label, FakeClassifiers::label_of("an image"));
  const std::string labels = outputs_.get(result_key(request.job), kMiB)->bytes;
  requests_->push(to_json(request));
  clock_.advance(Seconds(3600));  // it expires, but has labels
  run();
  EXPECT_EQ(outputs_.get(result_key(request.job), kMiB)->bytes, labels);
  EXPECT_EQ(replies()->bodies().back(), labels);
}

TEST_F(WorkerTest, AStoredErrorThatMayPassDoesNotStopARedelivery) {
  const JobRequest request = submit("an image");
  JobResult expired{.job = request.job,
                    .session = request.session,
                    .name = request.name,
                    .model = {},
                    .labels = {},
                    .error = JobError{.code = "input_mismatch", .title = "t", .detail = "d", .retryable = true},
                    .timings = {},
                    .worker = WorkerId("w-2"),
                    .app_tier_id = "",
                    .completed_at = clock_.wall_now()};
  ASSERT_TRUE(outputs_.put(result_key(request.job), to_json(expired), {}));
  deliver_once();
  run();
  EXPECT_EQ(answer_to(request.job).labels.at(0).label, FakeClassifiers::label_of("an image"));
}

TEST_F(WorkerTest, AResultThatIsThereIsAnsweredAgainWithoutWork) {
  const JobRequest request = submit("an image");
  run();
  EXPECT_EQ(outputs_.faults.calls(StoreCall::get), 0) << "a first delivery has none";
  const std::string first = replies()->bodies().at(0);
  const std::string document = outputs_.get(result_key(request.job), kMiB)->bytes;
  const int classified = classifiers_.faults.calls(FakeClassifiers::Call::classify);
  requests_->push(to_json(request));
  ASSERT_THAT(*requests_->receive({}, {}), SizeIs(1));
  requests_->expire_leases();  // delivered again
  run();
  ASSERT_THAT(replies()->bodies(), SizeIs(2));
  EXPECT_EQ(replies()->bodies().at(1), document);
  EXPECT_EQ(classifiers_.faults.calls(FakeClassifiers::Call::classify), classified);
  expect_all_done();
}

TEST_F(WorkerTest, ASecondDeliveryThatCountsAsTheFirstGetsTheSameAnswer) {
  const JobRequest request = submit("an image");
  run();
  const std::string document = outputs_.get(result_key(request.job), kMiB)->bytes;
  requests_->push(to_json(request));  // SQS's count is approximate
  run();
  ASSERT_THAT(replies()->bodies(), SizeIs(2));
  EXPECT_EQ(replies()->bodies().at(1), document);
  expect_all_done();
}

TEST_F(WorkerTest, ABusyWorkerAnswersAndRemovesInFullBatches) {
  settings_.worker.prefetch = 20;
  for (int i = 0; i < 200; ++i) submit("image " + std::to_string(i));
  clock_.advance(Seconds(4));  // each has waited: a quarter of that is time to gather
  start();
  until([&] { return requests_->bodies().empty(); }, Millis(1));
  finish();
  expect_all_done();
  EXPECT_LE(replies()->faults.calls(QueueCall::send), 30);
  EXPECT_LE(requests_->faults.calls(QueueCall::remove), 30);
}

TEST_F(WorkerTest, WithoutMoreToDoNothingWaitsForCompany) {
  for (int i = 0; i < 5; ++i) submit("image " + std::to_string(i));
  clock_.advance(Seconds(4));
  start();
  at_once([&] { return requests_->bodies().empty() && replies()->bodies().size() == 5; });
}

TEST_F(WorkerTest, AResultStoredMeanwhileByAnotherWorkerIsTheAnswer) {
  const JobRequest request = submit("an image");
  classifiers_.hold();
  start();
  classifiers_.wait_for_held(1);
  JobResult other{.job = request.job,
                  .session = request.session,
                  .name = request.name,
                  .model = {},
                  .labels = {{.index = 1, .wnid = "", .label = "from the other worker", .score = 1}},
                  .error = {},
                  .timings = {},
                  .worker = WorkerId("w-2"),
                  .app_tier_id = "",
                  .completed_at = clock_.wall_now()};
  ASSERT_TRUE(outputs_.put(result_key(request.job), to_json(other), {}));
  classifiers_.release();
  finish();
  EXPECT_EQ(answer_to(request.job), other);
  EXPECT_EQ(outputs_.writes(result_key(request.job)), 1);
  EXPECT_THAT(requests_->bodies(), IsEmpty());
}

TEST_F(WorkerTest, AnImageAtFaultIsAnsweredWithItsError) {
  for (const std::string code : {"unsupported_format", "image_too_large", "image_truncated", "image_corrupt"}) {
    const JobRequest request = submit(FakeClassifiers::bad_image(code));
    run();
    const JobResult answer = answer_to(request.job);
    ASSERT_TRUE(answer.error) << code;
    EXPECT_EQ(answer.error->code, code);
    EXPECT_NE(answer.error->title, "The image was refused") << "a title of its own";
    EXPECT_FALSE(answer.error->detail.empty());
    EXPECT_FALSE(answer.error->retryable);
    EXPECT_THAT(answer.labels, IsEmpty());
    EXPECT_EQ(stored(request.job).error, answer.error);
  }
  EXPECT_THAT(requests_->bodies(), IsEmpty());
  EXPECT_THAT(dead_->bodies(), IsEmpty());
}

TEST_F(WorkerTest, AnInputThatIsNotWhatWasUploadedIsNeverClassified) {
  JobRequest other = submit("the image");
  ASSERT_TRUE(inputs_.put(other.input.key, "another image", {}));
  settings_.image.bytes_max = 64;
  const JobRequest large = submit(std::string(65, 'x'));
  JobRequest escaping = make_request("x");
  escaping.input.key = ObjectKey("../../etc/passwd");
  requests_->push(to_json(escaping));
  run();
  EXPECT_EQ(answer_to(other.job).error->code, "input_mismatch");
  EXPECT_EQ(answer_to(large.job).error->code, "image_too_large");
  EXPECT_THAT(answer_to(large.job).error->detail, HasSubstr("64 bytes"));
  EXPECT_EQ(answer_to(escaping.job).error->code, "bad_key");
  EXPECT_EQ(classifiers_.faults.calls(FakeClassifiers::Call::classify), 0);
  EXPECT_THAT(requests_->bodies(), IsEmpty());
}

TEST_F(WorkerTest, AMessageDeliveredOftenIsNoPoison) {
  const JobRequest request = submit("an image that was held by workers that died");
  for (int i = 0; i < 20; ++i) deliver_once();
  run();
  EXPECT_EQ(answer_to(request.job).labels.at(0).label, FakeClassifiers::label_of(images_[request.job]));
  expect_all_done();
  EXPECT_THAT(outputs_.keys(), ElementsAre(result_key(request.job))) << "its attempts are forgotten";
}

TEST_F(WorkerTest, APoisonMessageIsAnsweredAndKeptButNotClassified) {
  const JobRequest request = submit("an image that kills workers");
  for (int i = 1; i <= settings_.worker.attempts_max; ++i) {
    ASSERT_TRUE(outputs_.put(attempt_key(request.job, i), "1", {}));
  }
  deliver_once();
  classifiers_.on_image([&](ByteView image) { EXPECT_NE(image, images_[request.job]); });
  run();
  EXPECT_EQ(answer_to(request.job).error->code, "poison");
  EXPECT_EQ(stored(request.job).error->code, "poison");
  EXPECT_THAT(dead_->bodies(), ElementsAre(to_json(request)));
  EXPECT_THAT(requests_->bodies(), IsEmpty());
}

TEST_F(WorkerTest, AMessageThatIsNoRequestIsKeptAndAnsweredIfItCanBe) {
  auto broken = nlohmann::json::parse(to_json(make_request("x")));
  broken.erase("input");
  auto without_session = nlohmann::json::parse(to_json(make_request("x", "odd.jpg")));
  without_session["session"] = "no session!";
  auto elsewhere = nlohmann::json::parse(to_json(make_request("x")));
  elsewhere.erase("input");
  elsewhere["reply_to"] = "somebody-elses-queue";
  for (const std::string& body :
       {std::string("no JSON"), std::string("[]"), broken.dump(), without_session.dump(), elsewhere.dump()}) {
    requests_->push(body);
  }
  run();
  EXPECT_THAT(requests_->bodies(), IsEmpty());
  EXPECT_THAT(dead_->bodies(),
              testing::UnorderedElementsAre("no JSON", "[]", broken.dump(), without_session.dump(), elsewhere.dump()));
  EXPECT_THAT(answers(), SizeIs(2));
  const JobResult answer = answer_to(JobId(broken["job"].get<std::string>()));
  EXPECT_EQ(answer.error->code, "bad_request_message");
  EXPECT_THAT(answer.error->detail, HasSubstr("input"));
  EXPECT_EQ(answer_to(JobId(without_session["job"].get<std::string>())).name, "odd.jpg");
  EXPECT_THAT(queues_.queue("somebody-elses-queue")->bodies(), IsEmpty());
}

TEST_F(WorkerTest, AnswersGoOnlyToQueuesOfThisService) {
  JobRequest request = make_request("an image");
  request.reply_to = "somebody-elses-queue";
  requests_->push(to_json(request));
  run();
  EXPECT_THAT(queues_.queue("somebody-elses-queue")->bodies(), IsEmpty());
  EXPECT_EQ(stored(request.job).error->code, "bad_reply_to");
  EXPECT_THAT(dead_->bodies(), SizeIs(1));
  EXPECT_THAT(requests_->bodies(), IsEmpty());
}

TEST_F(WorkerTest, FifoQueuesGetTheSessionAsGroupAndTheJobAsDedupId) {
  settings_.queue.fifo = true;
  requests_ = queues_.create("imgrec-requests.fifo", {.fifo = true});
  dead_ = queues_.create("imgrec-dead.fifo", {.fifo = true});
  queues_.create(kReplies, {.fifo = true});
  std::vector<JobId> jobs;
  for (int i = 0; i < 12; ++i) {
    const JobRequest request = make_request("image " + std::to_string(i));
    ASSERT_TRUE(inputs_.put(request.input.key, "image " + std::to_string(i), {}));
    images_[request.job] = "image " + std::to_string(i);
    const OutgoingMessage message{.body = to_json(request), .group_id = "session-1", .dedup_id = request.job.str()};
    ASSERT_TRUE(requests_->send({&message, 1}, Deadline::in(clock_, Seconds(1))));
    jobs.push_back(request.job);
  }
  run();
  expect_all_done();
  EXPECT_THAT(replies()->receive({}, {})->at(0).group_id, "session-1");
}

TEST_F(WorkerTest, ReadyIsToldOnceBeforeTheFirstMessage) {
  std::atomic<int> ready = 0;
  WorkerPorts worker_ports = ports();
  worker_ports.on_ready = [&] {
    EXPECT_EQ(requests_->faults.calls(QueueCall::receive), 0);
    EXPECT_EQ(classifiers_.faults.calls(FakeClassifiers::Call::make), 2);
    ++ready;
  };
  submit("an image");
  start(worker_ports);
  finish();
  EXPECT_EQ(ready, 1);
}

TEST_F(WorkerTest, EndsWhenIdleForSoLong) {
  settings_.worker.exit_when_idle = Seconds(30);
  const MonoTime begin = clock_.mono_now();
  submit("an image");
  run();
  EXPECT_TRUE(outcome_);
  EXPECT_GE(clock_.mono_now() - begin, Seconds(30));
  EXPECT_LT(clock_.mono_now() - begin, Seconds(90));
}

TEST_F(WorkerTest, WithoutPrefetchAWorkerHoldsNoMoreThanItWorksOn) {
  settings_.worker.prefetch = 0;
  for (int i = 0; i < 8; ++i) submit("image " + std::to_string(i));
  classifiers_.hold();
  start();
  classifiers_.wait_for_held(2);
  EXPECT_EQ(requests_->depth()->in_flight, 2u);
  classifiers_.release();
  finish();
  expect_all_done();
}

TEST_F(WorkerTest, CountsWhatItDoes) {
  submit("an image");
  submit(FakeClassifiers::bad_image("image_corrupt"));
  requests_->push("no request");
  run();
  const std::string metrics = metrics_.scrape();
  for (const char* line :
       {"imgrec_worker_jobs_total{outcome=\"labelled\"} 1", "imgrec_worker_jobs_total{outcome=\"refused\"} 1",
        "imgrec_worker_jobs_total{outcome=\"unreadable\"} 1", "imgrec_worker_jobs_in_progress 0",
        "imgrec_worker_stage_seconds_count{stage=\"infer\"} 1", "imgrec_worker_redeliveries_total 0"}) {
    EXPECT_THAT(metrics, HasSubstr(line));
  }
}

TEST_F(WorkerTest, OneLinePerJobThatNoNameCanForge) {
  log::configure({.level = log::Level::info, .role = {}});
  const JobRequest request = submit("an image", "x\nlevel=error msg=forged");
  testing::internal::CaptureStderr();
  run();
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_THAT(log, HasSubstr("job done"));
  EXPECT_THAT(log, HasSubstr("job=" + request.job.str()));
  EXPECT_THAT(log, HasSubstr("traceparent=" + request.traceparent));
  EXPECT_THAT(log, HasSubstr("label=" + FakeClassifiers::label_of("an image")));
  EXPECT_EQ(log.find("\nlevel=error msg=forged"), std::string::npos) << log;
}

TEST_F(WorkerTest, RefusesSettingsOutOfRange) {
  const auto error_of = [&](auto change) {
    WorkerSettings settings = settings_;
    change(settings);
    const auto outcome = run_worker(settings, ports(), {});
    return outcome ? std::string("no error") : outcome.error().code;
  };
  EXPECT_EQ(error_of([](auto& settings) { settings.worker.threads = -1; }), "bad_worker_settings");
  EXPECT_EQ(error_of([](auto& settings) { settings.worker.prefetch = -1; }), "bad_worker_settings");
  EXPECT_EQ(error_of([](auto& settings) { settings.worker.poll_wait = Seconds(21); }), "bad_worker_settings");
  EXPECT_EQ(error_of([](auto& settings) { settings.queue.visibility = Millis(0); }), "bad_worker_settings");
  EXPECT_EQ(error_of([](auto& settings) { settings.worker.attempts_max = 0; }), "bad_worker_settings");
  EXPECT_EQ(error_of([](auto& settings) { settings.worker.engine_failures_max = 0; }), "bad_worker_settings");
}

}  // namespace
}  // namespace imgrec::worker_test
