// A service that a worker needs: a store or a queue. Its calls are repeated while it fails, and all threads share one
// back-off: during an outage one call at a time tries whether it works again, the others wait for that.
#pragma once

#include <functional>
#include <mutex>
#include <stop_token>
#include <string>

#include "lib/base/circuit_breaker.hpp"
#include "lib/base/clock.hpp"
#include "lib/base/result.hpp"
#include "lib/base/rng.hpp"

namespace imgrec {

/// True for all but not_found and invalid, which are answers, and cancelled. A denied call is an outage too: it works
/// again when a person has changed something.
bool is_outage(const Error& error);

struct DependencyOptions {
  BackoffOptions backoff{Millis(50), Millis(5'000)};
  Millis hold_max{60'000};  // how long one call waits for the end of an outage
  Millis call_max{30'000};  // the deadline of each attempt
  std::function<bool(const Error&)> is_outage = imgrec::is_outage;
};

/// Thread-safe. An outage is logged when it begins and when it ends.
class Dependency {
 public:
  /// what: as the log line begins ("storing results").
  Dependency(std::string what, Clock& clock, Rng& rng, DependencyOptions options = {})
      : clock_(clock), options_(std::move(options)), breaker_(std::move(what), clock, rng, options_.backoff) {}

  /// Repeats `call` (which takes the CallLimits of an attempt and returns a Result) while its error is an outage, until
  /// it succeeds, a stop is requested or hold_max has passed; then returns the last error, which is of a kind that
  /// blames nobody's image: an outage that looks like "invalid" or "not found" is transient.
  template <class Call>
  auto call(const std::stop_token& stop, Call call) -> decltype(call(CallLimits())) {
    const MonoTime end = clock_.mono_now() + options_.hold_max;
    while (true) {
      if (auto admitted = wait_for_turn(stop, end); !admitted) return fail(admitted.error());
      auto outcome = call(CallLimits(Deadline::in(clock_, options_.call_max), stop));
      if (outcome || !options_.is_outage(outcome.error())) {
        tell(outcome ? nullptr : &outcome.error());
        return outcome;
      }
      breaker_.failed(outcome.error());
      if (stop.stop_requested() || clock_.mono_now() >= end) return fail(as_outage(outcome.error()));
    }
  }

  /// False during an outage.
  bool works() const { return !breaker_.outage(); }
  /// True when it works, or when it is time to try whether it does again.
  bool may_be_tried() const;

 private:
  static Error as_outage(Error error);
  Result<void> wait_for_turn(const std::stop_token& stop, MonoTime end);
  void tell(const Error* error);

  Clock& clock_;
  const DependencyOptions options_;
  CircuitBreaker breaker_;
  std::mutex mutex_;
  std::stop_source works_again_;  // requested when an outage ends; a new one for each outage
};

}  // namespace imgrec
