// Whether there are workers, for those whose images wait: from the status that the controller publishes.
#pragma once

#include <mutex>
#include <optional>
#include <stop_token>
#include <utility>

#include "lib/base/clock.hpp"
#include "lib/ports/object_store.hpp"

namespace imgrec {

struct WorkersSeen {
  int running = 0;               // ready or at work
  int starting = 0;              // launched, and not ready yet
  std::optional<double> boot_s;  // about from a launch to ready
};

/// Thread-safe. Reads the status once in a while, however many ask.
class WorkersView {
 public:
  /// abort: requested, calls under way end.
  WorkersView(ObjectStore& outputs, Clock& clock, std::stop_token abort)
      : outputs_(outputs), clock_(clock), abort_(std::move(abort)) {}

  /// Nothing: no controller has told for a while, or it does not know. May block for one call of the store.
  std::optional<WorkersSeen> look();

 private:
  std::optional<WorkersSeen> read();

  ObjectStore& outputs_;
  Clock& clock_;
  const std::stop_token abort_;
  std::mutex mutex_;
  std::optional<WorkersSeen> last_;
  std::optional<MonoTime> tried_at_;
};

}  // namespace imgrec
