#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <thread>

#include "aws/client/credentials.hpp"
#include "tests/aws/support.hpp"

namespace imgrec::aws::cached_credentials_test {
namespace {

using test::JumpClock;

// Answers what the test set; each load is counted, and may be held.
struct SourceState {
  std::mutex mutex;
  Result<Credentials> answer = test::test_keys();
  std::atomic<int> loads = 0;
  std::function<void()> on_load;
};

class FakeSource final : public CredentialSource {
 public:
  explicit FakeSource(SourceState& state) : state_(state) {}
  Result<Credentials> load(std::stop_token) override {
    ++state_.loads;
    if (state_.on_load) state_.on_load();
    std::lock_guard lock(state_.mutex);
    return state_.answer;
  }

 private:
  SourceState& state_;
};

class CachedCredentialsTest : public testing::Test {
 protected:
  void set(const std::string& key, std::optional<Millis> life) {
    std::lock_guard lock(state.mutex);
    Credentials keys = test::test_keys();
    keys.access_key_id = key;
    if (life) keys.expires_at = clock.wall_now() + *life;
    state.answer = keys;
  }
  void break_source() {
    std::lock_guard lock(state.mutex);
    state.answer = fail(ErrorKind::transient, "down", "The source is down.");
  }
  std::string key() {
    const auto got = cached.get({});
    return got ? got->access_key_id : got.error().code;
  }

  JumpClock clock;
  SourceState state;
  CachedCredentials cached{std::make_unique<FakeSource>(state), clock};
};

constexpr Millis kHour{3'600'000};

TEST_F(CachedCredentialsTest, AsksOnceForWhatNeverExpires) {
  set("one", std::nullopt);
  EXPECT_EQ(key(), "one");
  clock.advance(100 * kHour);
  EXPECT_EQ(key(), "one");
  EXPECT_EQ(state.loads, 1);
}

TEST_F(CachedCredentialsTest, RenewsBeforeTheyExpire) {
  set("one", kHour);
  EXPECT_EQ(key(), "one");
  set("two", 3 * kHour);
  clock.advance(kHour - CachedCredentials::kRenewBefore - Millis(1));
  EXPECT_EQ(key(), "one");
  clock.advance(Millis(1));
  EXPECT_EQ(key(), "two");
  EXPECT_EQ(state.loads, 2);
}

TEST_F(CachedCredentialsTest, KeepsOldOnesWhileTheSourceIsDown) {
  set("one", kHour);
  EXPECT_EQ(key(), "one");
  break_source();
  clock.advance(kHour - Millis(300'000));
  EXPECT_EQ(key(), "one");
  EXPECT_EQ(key(), "one");
  EXPECT_EQ(state.loads, 2);  // not asked again within a minute
  clock.advance(kHour);
  EXPECT_EQ(key(), "one");  // expired, and still better than none
  EXPECT_EQ(state.loads, 3);
  set("two", kHour);
  clock.advance(CachedCredentials::kTryAgainExpired);
  EXPECT_EQ(key(), "two");
}

TEST_F(CachedCredentialsTest, AFirstFailureIsReportedAndTriedAgain) {
  break_source();
  EXPECT_EQ(key(), "down");
  set("one", kHour);
  EXPECT_EQ(key(), "one");
}

TEST_F(CachedCredentialsTest, ARefusalAsksAgainButNotWithoutPause) {
  set("one", kHour);
  const Credentials first = *cached.get({});
  set("two", kHour);
  clock.advance(CachedCredentials::kTryAgainExpired);
  cached.invalidate(first);
  EXPECT_EQ(key(), "two");
  cached.invalidate(first);  // those are replaced already
  EXPECT_EQ(key(), "two");
  EXPECT_EQ(state.loads, 2);
  cached.invalidate(*cached.get({}));
  EXPECT_EQ(key(), "two");
  EXPECT_EQ(state.loads, 2);
}

TEST_F(CachedCredentialsTest, OneThreadRenewsAndTheOthersGoOn) {
  set("one", kHour);
  EXPECT_EQ(key(), "one");
  set("two", 3 * kHour);
  clock.advance(kHour);
  std::latch inside(1), release(1);
  state.on_load = [&] {
    inside.count_down();
    release.wait();
  };
  std::jthread renewer([&] { EXPECT_EQ(key(), "two"); });
  inside.wait();
  EXPECT_EQ(key(), "one");  // does not wait
  release.count_down();
  renewer.join();
  EXPECT_EQ(key(), "two");
  EXPECT_EQ(state.loads, 2);
}

TEST_F(CachedCredentialsTest, TheFirstLoadIsShared) {
  set("one", kHour);
  std::latch inside(1), release(1);
  state.on_load = [&] {
    inside.count_down();
    release.wait();
  };
  std::jthread first([&] { EXPECT_EQ(key(), "one"); });
  inside.wait();
  std::vector<std::jthread> others;
  for (int i = 0; i < 4; ++i) others.emplace_back([&] { EXPECT_EQ(key(), "one"); });
  std::stop_source stop;
  std::jthread stopped([&] { EXPECT_EQ(cached.get(stop.get_token()).error().kind, ErrorKind::cancelled); });
  stop.request_stop();
  stopped.join();
  release.count_down();
  first.join();
  others.clear();
  EXPECT_EQ(state.loads, 1);
}

}  // namespace
}  // namespace imgrec::aws::cached_credentials_test
