// Calls to another service that are tried again while it is in trouble, with one log line when that begins and one when
// it is over, however many threads meet it.
#pragma once

#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>

#include "lib/base/backoff.hpp"
#include "lib/base/clock.hpp"
#include "lib/base/result.hpp"
#include "lib/base/rng.hpp"

namespace imgrec {

/// Thread-safe.
class TroubleLog {
 public:
  /// service: as it is named in the log ("request queue").
  TroubleLog(std::string service, Clock& clock) : service_(std::move(service)), clock_(clock) {}
  void failed(const Error& error);
  void succeeded();

 private:
  const std::string service_;
  Clock& clock_;
  std::mutex mutex_;
  std::optional<MonoTime> since_;
  int failures_ = 0;
};

struct PatienceOptions {
  BackoffOptions backoff{Millis(50), Millis(5'000)};
  Millis max{600'000};  // how long one call is tried again
};

/// Thread-safe.
class Patience {
 public:
  Patience(std::string service, Clock& clock, Rng& rng, PatienceOptions options = {})
      : clock_(clock), rng_(rng), options_(options), trouble_(std::move(service), clock) {}

  /// Repeats `call` (returning a Result) while its error is retryable, until a stop is requested or patience ends; then
  /// returns the last error.
  template <class Call>
  auto retry(const std::stop_token& stop, Call call) -> decltype(call()) {
    Backoff backoff(options_.backoff, rng_);
    const MonoTime end = clock_.mono_now() + options_.max;
    while (true) {
      auto outcome = call();
      if (outcome) {
        trouble_.succeeded();
        return outcome;
      }
      if (!is_retryable(outcome.error().kind)) return outcome;
      trouble_.failed(outcome.error());
      if (clock_.mono_now() >= end || !clock_.sleep_for(backoff.next(), stop)) return outcome;
    }
  }

 private:
  Clock& clock_;
  Rng& rng_;
  const PatienceOptions options_;
  TroubleLog trouble_;
};

}  // namespace imgrec
