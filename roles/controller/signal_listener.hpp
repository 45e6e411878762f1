// The controller's pause between two looks: it listens for signals, and ends early when one tells news.
#pragma once

#include <optional>
#include <stop_token>

#include "lib/base/clock.hpp"
#include "lib/base/outage_log.hpp"
#include "lib/ports/message_queue.hpp"
#include "roles/controller/signals.hpp"

namespace imgrec {

/// Not thread-safe: one controller's.
class SignalListener {
 public:
  /// queue: null: there are no signals, and a pause is a sleep.
  SignalListener(MessageQueue* queue, Clock& clock)
      : queue_(queue), clock_(clock), receiving_("receiving signals", clock) {}

  /// Blocks until `until`, until a stop is requested, or until there is news and `not_before` has come. While the queue
  /// cannot be read it only sleeps.
  void pause(MonoTime not_before, MonoTime until, const std::stop_token& stop);

  SignalBook& book() { return book_; }

  /// When signals could last not be read.
  std::optional<MonoTime> unread_at() const { return unread_at_; }

 private:
  bool receive(Millis wait, const std::stop_token& stop);
  bool hear(const std::vector<Message>& messages);

  MessageQueue* const queue_;
  Clock& clock_;
  OutageLog receiving_;
  SignalBook book_;
  std::optional<MonoTime> unread_at_;
};

}  // namespace imgrec
