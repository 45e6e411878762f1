// A queue of which the controller is told what is sent to it.
#pragma once

#include <utility>

#include "lib/ports/message_queue.hpp"
#include "lib/signals/signal_sender.hpp"

namespace imgrec {

/// As the queue inside, and as thread-safe.
class SignallingQueue final : public MessageQueue {
 public:
  SignallingQueue(MessageQueue& inner, SignalSender& sender) : inner_(inner), sender_(sender) {}

  Result<std::vector<Result<MessageId>>> send(std::span<const OutgoingMessage> messages,
                                              const CallLimits& limits) override {
    auto sent = inner_.send(messages, limits);
    std::uint64_t accepted = 0;
    if (sent) {
      for (const auto& outcome : *sent) accepted += outcome.has_value();
    }
    sender_.enqueued(accepted);
    return sent;
  }
  Result<std::vector<Message>> receive(const ReceiveOptions& options, std::stop_token stop) override {
    return inner_.receive(options, std::move(stop));
  }
  Result<std::vector<Result<void>>> extend(std::span<const Receipt> receipts, Millis visibility,
                                           const CallLimits& limits) override {
    return inner_.extend(receipts, visibility, limits);
  }
  Result<std::vector<Result<void>>> remove(std::span<const Receipt> receipts, const CallLimits& limits) override {
    return inner_.remove(receipts, limits);
  }
  Result<QueueDepth> depth(const CallLimits& limits) override { return inner_.depth(limits); }

 private:
  MessageQueue& inner_;
  SignalSender& sender_;
};

}  // namespace imgrec
