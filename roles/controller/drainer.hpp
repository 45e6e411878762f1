// Asks workers to stop, takes such requests back, and learns who has stopped: over two small queues of the service
// (lib/queues). Sending a request ends nothing by itself: the worker that has confirmed holds nothing and waits, and
// its instance is then terminated by whoever applies the controller's actions.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lib/base/clock.hpp"
#include "lib/base/outage_log.hpp"
#include "lib/base/rng.hpp"
#include "lib/ports/message_queue.hpp"
#include "lib/telemetry/metrics.hpp"
#include "roles/controller/policy/observation.hpp"

namespace imgrec {

struct DrainerOptions {
  std::string requests, confirmations;  // names of the two queues
  Millis timeout{60'000};               // a request that no worker takes for so long becomes a direct termination
};

/// Not thread-safe: one controller's. Blocks as its queues do. A queue that is missing or out of reach is logged once,
/// and then no drains are possible.
class Drainer {
 public:
  Drainer(QueueDirectory& queues, Clock& clock, Rng& rng, Metrics& metrics, DrainerOptions options);

  /// What is asked for and what is confirmed. The first time it takes back every request that an earlier controller
  /// left. While nothing is asked for it makes no call. `instances`: those there are; a confirmation of any other ends
  /// nobody.
  Drains observe(const std::vector<Instance>& instances, const CallLimits& limits);

  /// Sends so many requests. On an error those that were sent count.
  Result<void> ask(int count, const CallLimits& limits);

  /// Takes back as many, or fewer where workers were quicker.
  Result<void> take_back(int count, const CallLimits& limits);

 private:
  Result<void> open(const CallLimits& limits);
  void clear_from(MonoTime now);
  Result<void> read_confirmations(const CallLimits& limits);
  Result<void> confirm(const Message& message, const CallLimits& limits);
  /// Sets how many were given up.
  Result<void> give_up_overdue(int& given_up, const CallLimits& limits);
  /// How many were taken back.
  Result<int> withdraw(int count, const CallLimits& limits);

  QueueDirectory& queues_;
  Clock& clock_;
  Rng& rng_;
  const DrainerOptions options_;
  Metrics::Counter& asked_;
  Metrics::Counter& taken_back_;
  Metrics::Counter& confirmed_total_;
  Metrics::Counter& overdue_total_;
  OutageLog outage_;
  std::shared_ptr<MessageQueue> requests_, confirmations_;
  std::optional<MonoTime> open_again_at_;
  // Requests that nobody counts may be there: those of an earlier controller, and after lost answers. Twice they are
  // all taken back: at once, and when a lease that hides some has ended.
  MonoTime clear_at_;
  MonoTime clear_again_at_;
  std::map<std::string, MonoTime> sent_at_;  // of requests that are neither confirmed nor taken back
  std::vector<InstanceId> confirmed_;        // and still there
  MonoTime listen_until_ = MonoTime::min();  // confirmations may come
};

}  // namespace imgrec
