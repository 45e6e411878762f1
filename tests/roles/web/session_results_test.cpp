#include "roles/web/results/session_results.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/fake_clock.hpp"

namespace imgrec::session_results_test {
namespace {

struct SessionResultsTest : testing::Test {
  test::FakeClock clock;
  test::SeededRng rng;
  const SessionId one{"one"}, two{"two"};

  JobResult result(const SessionId& session, const std::string& name, int labels = 1) {
    JobResult made;
    made.job = make_job_id(clock.wall_now(), rng);
    made.session = session;
    made.name = name;
    for (int i = 0; i < labels; ++i) {
      made.labels.push_back({.index = i, .wnid = "n00000000", .label = "label of " + name, .score = 0.5});
    }
    return made;
  }
  static std::vector<std::string> names(const SessionResults::Page& page) {
    std::vector<std::string> found;
    for (const auto& entry : page.results) found.push_back(entry->name);
    return found;
  }
};

using Names = std::vector<std::string>;

TEST_F(SessionResultsTest, EachSessionHasItsOwnOldestFirstAndEachJobOnce) {
  SessionResults results({});
  const JobResult a = result(one, "a");
  results.record(a);
  results.record(result(two, "x"));
  results.record(a);
  JobResult failed = result(one, "b");
  failed.labels.clear();
  failed.error.emplace();
  results.record(failed);
  const auto page = results.page(one, 0, 100, kMiB);
  EXPECT_EQ(names(page), (Names{"a", "b"}));
  EXPECT_EQ(page.next, 0U);
  EXPECT_EQ(page.count, 2U);
  EXPECT_EQ(page.results[0]->serial, 1U);
  EXPECT_EQ(page.results[1]->serial, 2U) << "another session's results do not count";
  EXPECT_EQ(results.page(two, 0, 100, kMiB).results.at(0)->serial, 1U);
  EXPECT_EQ(page.results[0]->label, "label of a");
  EXPECT_EQ(page.results[0]->document, to_json(a));
  EXPECT_TRUE(page.results[1]->label.starts_with("error: "));
}

TEST_F(SessionResultsTest, PagesAreStableWhileResultsComeAndGo) {
  SessionResults results({.results_max = 6});
  for (const char* name : {"a", "b", "c", "d"}) results.record(result(one, name));
  auto page = results.page(one, 0, 2, kMiB);
  EXPECT_EQ(names(page), (Names{"a", "b"}));
  for (const char* name : {"e", "f", "g", "h"}) results.record(result(one, name));
  page = results.page(one, page.next, 3, kMiB);
  EXPECT_EQ(names(page), (Names{"c", "d", "e"}));
  EXPECT_EQ(page.results[0]->serial, 3U);
  EXPECT_EQ(page.count, 8U) << "those that have gone included";
  page = results.page(one, page.next, 3, kMiB);
  EXPECT_EQ(names(page), (Names{"f", "g", "h"}));
  EXPECT_EQ(page.next, 0U);
}

TEST_F(SessionResultsTest, APageEndsAtItsBytesButHasOneResult) {
  SessionResults results({});
  for (const char* name : {"a", "b"}) results.record(result(one, name, 1'000));
  const auto page = results.page(one, 0, 100, 1);
  EXPECT_EQ(names(page), (Names{"a"}));
  EXPECT_NE(page.next, 0U);
}

TEST_F(SessionResultsTest, AResultWeighsWhatItWeighs) {
  constexpr std::size_t kSessionMax = 200 * kKiB;
  SessionResults results({.results_max = 5'000, .bytes_max = 4 * kSessionMax, .session_bytes_max = kSessionMax});
  for (int i = 0; i < 200; ++i) results.record(result(one, std::to_string(i), 200));
  EXPECT_LE(results.bytes(), kSessionMax);
  const auto kept = results.page(one, 0, 5'000, 1'000 * kMiB).results;
  EXPECT_EQ(kept.back()->name, "199") << "the newest are kept";
  EXPECT_LT(kept.size(), 20U);
  for (int s = 0; s < 20; ++s) {
    for (int i = 0; i < 20; ++i) results.record(result(SessionId("s" + std::to_string(s)), "x", 200));
    EXPECT_LE(results.bytes(), 4 * kSessionMax);
  }
  EXPECT_TRUE(results.page(one, 0, 10, kMiB).results.empty()) << "the oldest session went first";
}

TEST_F(SessionResultsTest, ForgettingASessionLeavesTheOthers) {
  SessionResults results({});
  results.record(result(one, "a"));
  results.record(result(two, "b"));
  results.forget(one);
  EXPECT_TRUE(results.page(one, 0, 10, kMiB).results.empty());
  EXPECT_EQ(names(results.page(two, 0, 10, kMiB)), (Names{"b"}));
  results.forget(two);
  EXPECT_EQ(results.bytes(), 0U);
}

}  // namespace
}  // namespace imgrec::session_results_test
