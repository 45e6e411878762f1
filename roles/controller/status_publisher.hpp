// Puts the controller's ServiceStatus into the result store, in a thread of its own: a store that is slow or fails
// never delays a round.
#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "lib/base/clock.hpp"
#include "lib/base/outage_log.hpp"
#include "lib/base/waker.hpp"
#include "lib/job/service_status.hpp"
#include "lib/ports/object_store.hpp"

namespace imgrec {

/// Thread-safe. What cannot be put is dropped: the next status says more. The machine time of the controller before
/// this one is read once, and counted on.
class StatusPublisher {
 public:
  struct Options {
    Millis interval{1'000};   // between two that differ
    Millis at_least{12'000};  // between two that say the same
    Millis call_timeout{10'000};
    Millis last_timeout{2'000};  // of the one that says that the controller has ended
  };
  StatusPublisher(ObjectStore& store, Clock& clock, const Options& options);
  /// Puts a last status, which says that the controller has ended.
  ~StatusPublisher();

  /// Never blocks. A status that was not put yet is replaced.
  void offer(ServiceStatus status);

 private:
  void run();
  void put(ServiceStatus status, Millis timeout);
  void take_over_cost();
  std::optional<MonoTime> due() const;

  ObjectStore& store_;
  Clock& clock_;
  const Options options_;
  OutageLog putting_;
  bool took_over_ = false;
  std::optional<ServiceStatus::Cost> earlier_;  // of the controller before this one

  Waker waker_;
  std::mutex mutex_;
  std::optional<ServiceStatus> offered_;
  std::string put_text_, offered_text_;  // what the status put last, and the one offered, say besides their times
  std::optional<MonoTime> put_at_;
  bool closing_ = false;
  std::jthread thread_;
};

}  // namespace imgrec
