// Groups concurrent sends into one queue call.
#pragma once

#include <functional>
#include <stop_token>
#include <thread>
#include <vector>

#include "lib/base/batcher.hpp"
#include "lib/ports/message_queue.hpp"

namespace imgrec {

/// Thread-safe. A batch is what gathered while the one before was under way (group commit), and while `linger` says: a
/// lone message leaves at once, a crowd leaves ten at a time. Nothing is retried here; each message hears of its own
/// fate.
class SendBatcher {
 public:
  using Sent = std::move_only_function<void(Result<MessageId>)>;

  struct Options {
    std::size_t waiting_max = 10'000;  // more: push() waits
    Millis send_timeout{10'000};
    std::stop_token abort{};  // requested: a call under way ends
    /// How long a batch may gather; asked for each.
    std::function<Millis()> linger = [] { return Millis(0); };
  };
  SendBatcher(MessageQueue& queue, Clock& clock, const Options& options);
  ~SendBatcher();

  /// `sent` runs on the batcher's thread. After stop(): cancelled, on the caller's.
  void push(OutgoingMessage message, Sent sent);

  /// Sends what has gathered, then ends.
  void stop();

 private:
  struct Item {
    OutgoingMessage message;
    Sent sent;
  };
  void run();
  void send(std::span<Item> batch);

  MessageQueue& queue_;
  Clock& clock_;
  const Millis send_timeout_;
  const std::stop_token abort_;
  Batcher<Item> items_;
  std::jthread thread_;
};

}  // namespace imgrec
