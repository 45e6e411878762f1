// Exponential backoff with full jitter (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
#pragma once

#include "lib/base/rng.hpp"
#include "lib/base/units.hpp"

namespace imgrec {

struct BackoffOptions {
  Millis base{100};
  Millis max{20'000};
};

class Backoff {
 public:
  Backoff(const BackoffOptions& options, Rng& rng) : options_(options), rng_(rng) {}
  /// Uniform in [0, min(max, base · 2^failures)); each call counts one more failure.
  Millis next();
  void reset() { failures_ = 0; }

 private:
  BackoffOptions options_;
  Rng& rng_;
  int failures_ = 0;
};

}  // namespace imgrec
