// How jobs are written down and told, piece by piece, on a clock of the test's own.
#include "roles/web/jobs/job_index.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/job/service_status.hpp"
#include "roles/web/jobs/final_states.hpp"
#include "roles/web/jobs/queue_view.hpp"
#include "roles/web/jobs/workers_view.hpp"
#include "tests/support/fake_clock.hpp"
#include "tests/support/memory_queue.hpp"
#include "tests/support/memory_store.hpp"

namespace imgrec::job_index_test {
namespace {

using namespace std::chrono_literals;
using test::StoreCall;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

const OwnerId kAnn("00000000000000000000000000000001"), kBob("00000000000000000000000000000002");

TEST(IndexPage, KeysSortTheLatestFirstAndTellTheirTime) {
  const WallTime time(Millis(1'700'000'000'123));
  const ObjectKey key = index_key(kAnn, time, "ab"), later = index_key(kAnn, time + 1ms, "ab");
  EXPECT_LT(later.str(), key.str());
  EXPECT_EQ(time_of_index_key(key), time);
  EXPECT_LT(index_position(kAnn, time), key.str());
  EXPECT_GT(index_position(kAnn, time), later.str());
  for (const char* bad : {"sessions/x/zz-a.json", "sessions/x/", "sessions/x/00112233445", "sessions/x/001122334455"}) {
    EXPECT_FALSE(time_of_index_key(ObjectKey(bad))) << bad;
  }
}

TEST(IndexPage, SurvivesTheStore) {
  const std::vector<IndexedJob> page = {{JobId("01ARYZ6S41TSV4RRFFQ69G5FAV"), "a \"name\"\n"}};
  const auto read = parse_index_page(to_json(page));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->at(0).job, page[0].job);
  EXPECT_EQ(read->at(0).name, page[0].name);
  for (const char* bad : {"", "[]", "{}", R"({"v":2,"jobs":[]})", R"({"v":1})", R"({"v":1,"jobs":[{"job":"x"}]})",
                          R"({"v":"1","jobs":[]})", R"({"v":1,"jobs":[{"job":"../..","name":"a"}]})"}) {
    EXPECT_FALSE(parse_index_page(bad)) << bad;
  }
}

class JobIndexTest : public testing::Test {
 protected:
  JobId add(const OwnerId& owner, std::string_view name = "n") {
    const JobId job = make_job_id(clock.wall_now(), rng);
    index.add(owner, job, name);
    return job;
  }
  std::vector<IndexedJob> page(std::size_t at) {
    return parse_index_page(store.get(store.keys().at(at), kMiB)->bytes).value();
  }

  test::FakeClock clock;
  test::SeededRng rng;
  test::MemoryStore store{clock};
  Metrics metrics;
  JobIndex index{{.store = store, .clock = clock, .rng = rng, .metrics = metrics}};
};

TEST_F(JobIndexTest, WhatComesTogetherIsOneWrite) {
  const JobId first = add(kAnn, "a"), second = add(kAnn, "b");
  add(kBob);
  EXPECT_THAT(index.unwritten(kAnn), SizeIs(2));
  clock.advance(100ms);
  EXPECT_THAT(store.keys(), IsEmpty()) << "they gather";
  index.stop();
  ASSERT_THAT(store.keys(), SizeIs(2)) << "one page an owner";
  std::vector<IndexedJob> jobs = page(0);
  ASSERT_THAT(jobs, SizeIs(2));
  EXPECT_GT(jobs[0].job, jobs[1].job) << "the latest first";
  EXPECT_THAT((std::vector{jobs[1].job, jobs[0].job}), testing::UnorderedElementsAre(first, second));
  EXPECT_THAT(index.unwritten(kAnn), IsEmpty());
}

TEST_F(JobIndexTest, AFullPageLeavesAtOnceAndAJobWithoutAnOwnerIsNotWritten) {
  for (std::size_t i = 0; i < kPageJobsMax; ++i) add(kAnn);
  add({});
  while (store.keys().empty()) std::this_thread::yield();
  EXPECT_THAT(page(0), SizeIs(kPageJobsMax));
  index.stop();
  EXPECT_THAT(store.keys(), SizeIs(1));
}

TEST_F(JobIndexTest, AnOutageLosesNothingAndAPageSpansAShortTime) {
  store.faults.set_outage(test::injected_error());
  add(kAnn);
  while (store.faults.calls(StoreCall::put) == 0) clock.advance(10ms);
  clock.advance(5s);
  add(kAnn);
  EXPECT_THAT(index.unwritten(kAnn), SizeIs(2));
  store.faults.set_outage(std::nullopt);
  index.stop();
  EXPECT_THAT(store.keys(), SizeIs(2)) << "a page holds jobs of a second";
}

TEST_F(JobIndexTest, ALongNameIsCutBetweenCharacters) {
  add(kAnn, std::string(kIndexedNameMax - 1, 'x') + "ü");
  index.stop();
  EXPECT_EQ(page(0).at(0).name, std::string(kIndexedNameMax - 1, 'x'));
}

TEST(JobIndex, ItsMemoryIsBounded) {
  test::FakeClock clock;
  test::SeededRng rng;
  test::MemoryStore store(clock);
  Metrics metrics;
  JobIndex index({.store = store, .clock = clock, .rng = rng, .metrics = metrics}, {.waiting_max = 8});
  store.faults.set_outage(test::injected_error());
  for (int i = 0; i < 5; ++i) index.add(kAnn, make_job_id(clock.wall_now(), rng), "n");
  EXPECT_THAT(index.unwritten(kAnn), SizeIs(2)) << "an owner's share";
  index.stop();
  EXPECT_THAT(metrics.scrape(), testing::HasSubstr("imgrec_web_index_lost_total 5"));
}

TEST(QueuePlace, ComesFromTheDepthAndFromWhatWasSentAfter) {
  EXPECT_EQ(place_of({.visible = 10}, 0).place, 10U) << "the last";
  EXPECT_EQ(place_of({.visible = 10}, 9).place, 1U) << "the next";
  EXPECT_EQ(place_of({.visible = 10}, 9).state, JobState::queued);
  EXPECT_EQ(place_of({.visible = 10}, 10).state, JobState::running) << "so many are behind it that it was taken";
  EXPECT_EQ(place_of({.visible = 0}, 0).state, JobState::running);
  EXPECT_EQ(place_of({.visible = 0, .delayed = 1}, 0).state, JobState::queued) << "it may be the one that came back";
}

TEST(QueueView, ReadsSeldomAndKnowsWhatItDoesNotKnow) {
  test::FakeClock clock;
  test::SeededRng rng;
  test::MemoryQueue queue(clock);
  QueueView view(queue, clock, {});
  const JobId job = make_job_id(clock.wall_now(), rng);
  queue.push("x");
  EXPECT_EQ(view.place(job, 0).state, JobState::queued);
  EXPECT_FALSE(view.place(job, 0).place) << "the depth was read in the same moment";
  clock.advance(2s);
  EXPECT_EQ(view.place(job, 0).place, 1U);
  EXPECT_FALSE(view.place(job, std::nullopt).place) << "of another node";
  EXPECT_EQ(view.place(job, std::nullopt).queue_depth, 1U);
  EXPECT_EQ(queue.faults.calls(test::QueueCall::depth), 2);
  clock.advance(2s);
  queue.faults.set_outage(test::injected_error());
  EXPECT_EQ(view.place(job, 0).state, JobState::queued);
  EXPECT_FALSE(view.place(job, 0).queue_depth);
}

TEST(WorkersView, TellsWhatTheControllerToldLately) {
  test::FakeClock clock;
  test::MemoryStore store(clock);
  WorkersView view(store, clock, {});
  EXPECT_FALSE(view.look());
  ServiceStatus status;
  status.at = clock.wall_now();
  status.at_least = 10s;
  status.counts = ServiceStatus::Counts{.booting = 2, .ready = 1, .busy = 3, .draining = 5};
  status.boot_s = 40;
  ASSERT_TRUE(store.put(service_status_key(), to_json(status), {}));
  EXPECT_FALSE(view.look()) << "it looked just now";
  clock.advance(2s);
  ASSERT_TRUE(view.look());
  EXPECT_EQ(view.look()->running, 4);
  EXPECT_EQ(view.look()->starting, 2);
  EXPECT_EQ(view.look()->boot_s, 40);
  clock.advance(29s);
  EXPECT_FALSE(view.look()) << "no controller has told for a while";
  status.at = clock.wall_now();
  status.counts.reset();
  ASSERT_TRUE(store.put(service_status_key(), to_json(status), {}));
  clock.advance(2s);
  EXPECT_FALSE(view.look()) << "it does not know";
}

TEST(FinalStates, KeepsTheLatestEndsThatStay) {
  FinalStates ends(2);
  JobResult result;
  const auto record = [&](const char* job, const char* error) {
    result.job = JobId(job);
    result.error.reset();
    if (*error) result.error = JobError{.code = error, .title = "t", .detail = "d", .retryable = false};
    result.labels = {{.index = 0, .wnid = "", .label = job, .score = 0.5}};
    ends.record(result);
  };
  record("1", "");
  record("2", "poison");
  EXPECT_EQ(ends.find(JobId("1"))->label, "1");
  EXPECT_FALSE(ends.find(JobId("2"))) << "labels may replace it";
  record("3", "cancelled");
  record("4", "");
  EXPECT_FALSE(ends.find(JobId("1"))) << "the oldest went";
  EXPECT_EQ(ends.find(JobId("3"))->state, JobState::cancelled);
}

}  // namespace
}  // namespace imgrec::job_index_test
