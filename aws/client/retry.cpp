#include "aws/client/retry.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>

namespace imgrec::aws {

Millis retry_delay(RetryClass retry, int attempt, double random_unit, std::string_view retry_after,
                   const RetryOptions& options) {
  const Millis base = retry == RetryClass::throttled ? options.throttled_base : options.transient_base;
  const double doubled = std::ldexp(static_cast<double>(base.count()), std::min(attempt - 1, 40));
  const double ceiling = std::min(static_cast<double>(options.delay_max.count()), doubled);
  const Millis own(std::llround(random_unit * ceiling));

  std::int64_t asked = 0;
  const auto [end, error] = std::from_chars(retry_after.data(), retry_after.data() + retry_after.size(), asked);
  if (retry_after.empty() || error != std::errc{} || end != retry_after.data() + retry_after.size() || asked < 0)
    return own;
  return std::clamp(Millis(asked), own, own + Millis(5'000));
}

int retry_cost(RetryClass retry) {
  switch (retry) {
    case RetryClass::transient: return 14;
    case RetryClass::throttled: return 5;
    case RetryClass::none: break;
  }
  return 0;
}

bool RetryQuota::take(int tokens) {
  std::lock_guard lock(mutex_);
  if (tokens_ < tokens) return false;
  tokens_ -= tokens;
  return true;
}

void RetryQuota::give(int tokens) {
  std::lock_guard lock(mutex_);
  tokens_ = std::min(kCapacity, tokens_ + tokens);
}

int RetryQuota::left() const {
  std::lock_guard lock(mutex_);
  return tokens_;
}

}  // namespace imgrec::aws
