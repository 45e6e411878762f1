#include "cmd/janitor.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>

#include "tests/support/fake_clock.hpp"
#include "tests/support/memory_store.hpp"

namespace imgrec {
namespace {

using std::chrono::hours;

class JanitorTest : public testing::Test {
 protected:
  void put(const std::string& key) { ASSERT_TRUE(store_.put(ObjectKey(key), "x", {})); }
  std::vector<std::string> keys() const {
    std::vector<std::string> found;
    for (const ObjectKey& key : store_.keys()) found.push_back(key.str());
    return found;
  }
  test::FakeClock clock_;
  test::MemoryStore store_{clock_};
  const JanitorOptions options_{.retention = hours(24), .pause = Millis(0)};
};

TEST_F(JanitorTest, DeletesOldInputsAndResultsAndNothingElse) {
  put("inputs/01A");
  put("results/01A.json");
  put("other/01A");
  clock_.advance(hours(23));
  put("inputs/02B");
  put("results/02B.json");
  EXPECT_EQ(sweep_old_objects(store_, options_, clock_, {}), 0U);
  clock_.advance(hours(2));
  EXPECT_EQ(sweep_old_objects(store_, options_, clock_, {}), 2U);
  EXPECT_THAT(keys(), testing::ElementsAre("inputs/02B", "other/01A", "results/02B.json"));
}

TEST_F(JanitorTest, SweepsMoreThanOnePage) {
  for (int i = 0; i < 1'050; ++i) put("inputs/" + std::to_string(10'000 + i));
  clock_.advance(hours(25));
  EXPECT_EQ(sweep_old_objects(store_, options_, clock_, {}), 1'050U);
  EXPECT_THAT(keys(), testing::IsEmpty());
}

TEST_F(JanitorTest, WithoutARetentionNothingIsDeleted) {
  put("inputs/01A");
  clock_.advance(hours(24 * 365));
  EXPECT_EQ(sweep_old_objects(store_, {.retention = Seconds(0)}, clock_, {}), 0U);
  EXPECT_EQ(keys().size(), 1U);
}

TEST_F(JanitorTest, AFailureIsReturned) {
  put("inputs/01A");
  clock_.advance(hours(25));
  store_.faults.fail_next(test::StoreCall::remove, 1, Error{ErrorKind::transient, "store_unavailable", "No."});
  const auto swept = sweep_old_objects(store_, options_, clock_, {});
  ASSERT_FALSE(swept);
  EXPECT_EQ(swept.error().code, "store_unavailable");
  EXPECT_EQ(sweep_old_objects(store_, options_, clock_, {}), 1U);
}

TEST_F(JanitorTest, RunsAgainAndAgainUntilStopped) {
  put("inputs/01A");
  std::jthread janitor([&](std::stop_token stop) { run_janitor(store_, options_, clock_, stop); });
  clock_.wait_for_sleepers(1);
  EXPECT_EQ(keys().size(), 1U);
  clock_.advance(hours(25));
  while (!keys().empty()) std::this_thread::yield();
  janitor.request_stop();
  janitor.join();
}

}  // namespace
}  // namespace imgrec
