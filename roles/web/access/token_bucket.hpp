// A token bucket: so many a second, and as many at once as came together in a second without any.
#pragma once

#include <algorithm>
#include <chrono>

#include "lib/base/units.hpp"

namespace imgrec {

/// Time is given to each call, by any one clock that does not go back. Not thread-safe.
class TokenBucket {
 public:
  using Time = std::chrono::duration<double>;

  /// Full. A rate below one a second holds one token.
  explicit TokenBucket(double per_second) : per_second_(per_second), capacity_(std::max(per_second, 1.0)) {
    tokens_ = capacity_;
  }
  /// As it was left.
  TokenBucket(double per_second, double tokens, Time at) : TokenBucket(per_second) {
    tokens_ = std::min(tokens, capacity_);
    at_ = at;
  }

  /// How long until take(count) is true; zero when it is now. More than the bucket holds is taken when it is full, and
  /// owed: else a request with more images than that could never be answered.
  Time wait(double count, Time now) {
    refill(now);
    const double missing = std::min(count, capacity_) - tokens_;
    // What is missing by rounding alone has come: a sum of fractions may stay just below a whole number.
    return missing <= 1e-6 ? Time(0) : Time(missing / per_second_);
  }
  /// Takes that many, and owes what is not there: ask wait() first.
  void take(double count, Time now) {
    refill(now);
    tokens_ -= count;
  }
  void refund(double count) { tokens_ = std::min(tokens_ + count, capacity_); }

  double tokens() const { return tokens_; }
  double capacity() const { return capacity_; }
  Time at() const { return at_; }

 private:
  void refill(Time now) {
    if (now <= at_) return;
    tokens_ = std::min(capacity_, tokens_ + (now - at_).count() * per_second_);
    at_ = now;
  }

  double per_second_, capacity_, tokens_ = 0;
  Time at_{0};
};

}  // namespace imgrec
