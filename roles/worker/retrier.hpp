// Calls to another service that are tried again while it is in trouble, with one log line when that begins and one when
// it is over.
#pragma once

#include <stop_token>
#include <string>
#include <utility>

#include "lib/base/backoff.hpp"
#include "lib/base/clock.hpp"
#include "lib/base/outage_log.hpp"
#include "lib/base/result.hpp"
#include "lib/base/rng.hpp"

namespace imgrec {

struct RetryOptions {
  BackoffOptions backoff{Millis(50), Millis(5'000)};
  Millis max{600'000};  // how long one call is tried again
};

/// Thread-safe.
class Retrier {
 public:
  Retrier(std::string what, Clock& clock, Rng& rng, RetryOptions options = {})
      : clock_(clock), rng_(rng), options_(options), outage_(std::move(what), clock) {}

  /// Repeats `call` (returning a Result) while its error is retryable, until a stop is requested or patience ends; then
  /// returns the last error.
  template <class Call>
  auto retry(const std::stop_token& stop, Call call) -> decltype(call()) {
    Backoff backoff(options_.backoff, rng_);
    const MonoTime end = clock_.mono_now() + options_.max;
    while (true) {
      auto outcome = call();
      if (outcome) {
        outage_.succeeded();
        return outcome;
      }
      if (!is_retryable(outcome.error().kind)) return outcome;
      outage_.failed(outcome.error());
      if (clock_.mono_now() >= end || !clock_.sleep_for(backoff.next(), stop)) return outcome;
    }
  }

 private:
  Clock& clock_;
  Rng& rng_;
  const RetryOptions options_;
  OutageLog outage_;
};

}  // namespace imgrec
