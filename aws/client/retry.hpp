// The arithmetic of AWS's standard retry mode (2026): how long to wait, and when to stop trying.
#pragma once

#include <mutex>
#include <string_view>

#include "lib/base/units.hpp"

namespace imgrec::aws {

enum class RetryClass {
  none,       // another attempt would fail alike
  transient,  // lost connection, time-out, 500, 502, 503, 504
  throttled,  // the service asks for fewer calls
};

struct RetryOptions {
  int attempts_max = 3;
  Millis transient_base{50};
  Millis throttled_base{1'000};
  Millis delay_max{20'000};
};

/// Full jitter: random_unit · min(delay_max, base · 2^(attempt-1)), then the server's x-amz-retry-after (milliseconds;
/// at most 5 s longer than the own delay; what is no number is ignored). attempt counts from 1; random_unit is in [0,
/// 1).
Millis retry_delay(RetryClass retry, int attempt, double random_unit, std::string_view retry_after,
                   const RetryOptions& options);

/// Tokens a retry costs: when most calls fail, the bucket runs empty and calls fail at once instead of piling up.
int retry_cost(RetryClass retry);

/// Thread-safe; one per service.
class RetryQuota {
 public:
  static constexpr int kCapacity = 500;
  /// False, and nothing taken, when there are fewer left.
  bool take(int tokens);
  void give(int tokens);
  int left() const;

 private:
  mutable std::mutex mutex_;
  int tokens_ = kCapacity;
};

}  // namespace imgrec::aws
