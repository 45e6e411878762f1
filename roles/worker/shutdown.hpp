// A worker's part in draining: with nothing to do it takes a request to stop, confirms it, and waits for its end.
#pragma once

#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "lib/base/clock.hpp"
#include "lib/base/ids.hpp"
#include "lib/base/outage_log.hpp"
#include "lib/base/rng.hpp"
#include "lib/ports/message_queue.hpp"

namespace imgrec {

struct ShutdownOptions {
  std::string requests, confirmations;  // names of the two queues
  InstanceId instance;                  // what the fleet calls the machine that this worker runs on
  std::string app_tier_id;
  Millis check{2'000};  // how often an idle worker looks for a request; 0: never
};

/// Not thread-safe: of the thread that receives the worker's messages.
class Shutdown {
 public:
  Shutdown(QueueDirectory& queues, Clock& clock, Rng& rng, ShutdownOptions options);

  /// How long the worker may wait for messages before it calls take() again.
  Millis wait_max() const { return options_.check > Millis(0) ? options_.check : Millis::max(); }

  /// To be called when the worker holds nothing. True when it has taken a request: it receives nothing more. At most
  /// one call in `check`. Where there is no such queue it is looked for again after some minutes, without a word.
  bool take(const std::stop_token& stop);

  /// Tries once to send the confirmation. False: it is to be tried again.
  bool confirm(const std::stop_token& stop);

  /// Confirms, and waits until a stop is requested, which is how a fleet ends a worker; at most ten minutes: then
  /// nobody will.
  void confirm_and_wait(const std::stop_token& stop);

 private:
  Result<void> send_confirmation(const CallLimits& limits);

  QueueDirectory& queues_;
  Clock& clock_;
  Rng& rng_;
  const ShutdownOptions options_;
  OutageLog outage_;
  std::shared_ptr<MessageQueue> requests_;
  MonoTime look_at_;
  std::string request_;  // the id of the one that was taken
};

}  // namespace imgrec
