// When a worker without work ends by itself: after a time, or because nobody leads who could end it. A worker that no
// controller will ever end must end itself, or its machine costs for ever.
#pragma once

#include <optional>
#include <stop_token>
#include <string>

#include "lib/base/clock.hpp"
#include "lib/base/outage_log.hpp"
#include "lib/config/config.hpp"
#include "lib/ports/object_store.hpp"

namespace imgrec {

struct IdleEndOptions {
  Millis exit_when_idle{0};  // 0: never
  Millis orphan_timeout{0};  // 0: never
};

/// Of this worker: the fleet's base worker obeys no exit_when_idle, and one that no fleet started is no orphan.
IdleEndOptions idle_end_options(const WorkerConfig& config);

/// Not thread-safe: of the thread that receives the worker's messages.
class IdleEnd {
 public:
  /// results: where controllers keep their lease (lib/job/leader_lease.hpp).
  IdleEnd(ObjectStore& results, Clock& clock, const IdleEndOptions& options);

  /// How long the worker may wait for messages before it calls is_due() again.
  Millis wait_max() const;

  /// To be called again and again while the worker has held nothing for `idle`. Returns true, and logs why, after
  /// exit_when_idle, and after orphan_timeout when in all of it nobody renewed the lease. That is read four times in
  /// this time, and not at all while there is work. While it cannot be read nobody is an orphan.
  bool is_due(MonoTime::duration idle, const std::stop_token& stop);

 private:
  static constexpr int kLooks = 4;

  bool is_orphan(MonoTime::duration idle, const std::stop_token& stop);

  ObjectStore& results_;
  Clock& clock_;
  const IdleEndOptions options_;
  OutageLog outage_;
  MonoTime look_at_;
  std::optional<std::string> version_;  // of the lease; empty text: there was none
  MonoTime unchanged_since_{};
};

}  // namespace imgrec
