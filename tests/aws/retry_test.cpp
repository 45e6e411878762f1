#include "aws/client/retry.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "lib/base/file.hpp"
#include "tests/support/shared_data.hpp"

namespace imgrec::aws::retry_test {
namespace {

using imgrec::test::unpacked_testdata;
using nlohmann::json;

Millis from_seconds(double seconds) {
  return Millis(std::llround(seconds * 1000));
}

TEST(Retry, FollowsTheStandardModesTable) {
  IMGREC_NEED_SHARED(suite, unpacked_testdata("retry"));
  const json facts = json::parse(*read_file(suite / "retry-v2.1-cases.json", kMiB));
  const RetryOptions options;
  EXPECT_EQ(options.attempts_max, facts["max_attempts"]);
  EXPECT_EQ(RetryQuota::kCapacity, facts["bucket_capacity"]);
  EXPECT_EQ(retry_cost(RetryClass::transient), facts["cost"]["transient_or_timeout"]);
  EXPECT_EQ(retry_cost(RetryClass::throttled), facts["cost"]["throttling"]);
  EXPECT_EQ(options.throttled_base, from_seconds(facts["backoff"]["base_throttling_s"]));
  EXPECT_EQ(options.delay_max, from_seconds(facts["backoff"]["max_s"]));
  int attempt = 0;
  for (const json& expected : facts["backoff"]["rand1_delays_attempt_1_to_11"]) {
    EXPECT_EQ(retry_delay(RetryClass::transient, ++attempt, 1.0, "", options), from_seconds(expected)) << attempt;
  }
  EXPECT_EQ(attempt, 11);
  for (const json& one : facts["retry_after_header"]["cases_attempt1_rand1"]) {
    EXPECT_EQ(retry_delay(RetryClass::transient, 1, 1.0, one[0].get<std::string>(), options), from_seconds(one[1]))
        << one;
  }
}

TEST(Retry, JitterIsFull) {
  const RetryOptions options;
  EXPECT_EQ(retry_delay(RetryClass::throttled, 1, 0.0, "", options), Millis(0));
  EXPECT_EQ(retry_delay(RetryClass::throttled, 2, 0.5, "", options), Millis(1000));
  EXPECT_EQ(retry_delay(RetryClass::transient, 1'000'000, 0.5, "", options), Millis(10'000));
  EXPECT_EQ(retry_delay(RetryClass::transient, 1, 0.0, "99999999999999999999", options), Millis(0));
}

TEST(Retry, QuotaIsBounded) {
  RetryQuota quota;
  quota.give(100);
  EXPECT_EQ(quota.left(), 500);
  for (int i = 0; i < 35; ++i) EXPECT_TRUE(quota.take(14));
  EXPECT_FALSE(quota.take(14));
  EXPECT_EQ(quota.left(), 10);
  EXPECT_TRUE(quota.take(5));
}

}  // namespace
}  // namespace imgrec::aws::retry_test
