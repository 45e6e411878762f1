// A queue of messages between machines, with the semantics of Amazon SQS.
//
// Delivery      at least once. A received message is hidden for its visibility timeout, then delivered again unless
//               removed. Each delivery has a new receipt; an older receipt neither extends nor removes anything.
// Order         standard: none promised. FIFO: in order within a group, and a group with a message in flight delivers
// no
//               other; a dedup id seen within 5 minutes is accepted and dropped.
// Dead letters  a message received more than the queue's maxReceiveCount is moved to its dead-letter queue.
// Threads       safe; calls block, at most until their limits (deadline and stop), their wait, or the adapter's own
//               limits. After a deadline or a stop the call may have happened or not.
// Failure       belongs to the caller: nothing is retried here. Batches fail in part: one outcome per element.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "lib/base/clock.hpp"
#include "lib/base/ids.hpp"
#include "lib/base/result.hpp"
#include "lib/base/units.hpp"

namespace imgrec {

constexpr std::size_t kBatchMax = 10;           // messages of one call
constexpr std::size_t kMessageBytesMax = kMiB;  // of one message, and of one batch

struct OutgoingMessage {
  std::string body;      // valid UTF-8, without control characters but tab and line ends, U+FFFE and U+FFFF
  std::string group_id;  // FIFO queues only, and required there
  std::string dedup_id;  // FIFO queues only, and required there
  Millis delay{0};       // standard queues only; up to 15 minutes
};

struct Message {
  MessageId id;
  Receipt receipt;
  std::string body;
  std::string group_id;
  int receive_count = 0;  // 1 at the first delivery; 0: the queue does not tell
  WallTime sent_at{};     // where the queue does not tell, when it was received

  /// Where it is not known, a message may have been delivered before.
  bool is_first_delivery() const { return receive_count == 1; }
};

struct ReceiveOptions {
  int messages_max = 10;      // 1 to kBatchMax
  Millis wait{0};             // long poll: returns as soon as there is one; up to 20 s
  Millis visibility{30'000};  // up to 12 h
};

struct QueueDepth {
  std::uint64_t visible = 0;    // can be received now
  std::uint64_t in_flight = 0;  // received, neither removed nor timed out
  std::uint64_t delayed = 0;
  std::optional<Millis> oldest_age{};  // of the oldest message not removed; absent: none, or unknown (SQS)
};

class MessageQueue {
 public:
  virtual ~MessageQueue() = default;

  /// 1 to kBatchMax messages; one outcome per message, in order. The outer error: nothing was sent.
  /// Errors per message: invalid "message_too_large", invalid "bad_message"; else as the transport's.
  virtual Result<std::vector<Result<MessageId>>> send(std::span<const OutgoingMessage> messages,
                                                      const CallLimits& limits = {}) = 0;

  /// Empty when the wait ends or a stop is requested.
  virtual Result<std::vector<Message>> receive(const ReceiveOptions& options, std::stop_token stop) = 0;

  /// Hides the messages for `visibility` from now; 0 makes them visible at once. One outcome per receipt, in order;
  /// a stale receipt is not_found "stale_receipt". At most kBatchMax.
  virtual Result<std::vector<Result<void>>> extend(std::span<const Receipt> receipts, Millis visibility,
                                                   const CallLimits& limits = {}) = 0;

  /// Deletes. One outcome per receipt, in order; a stale receipt deletes nothing and is not_found "stale_receipt".
  virtual Result<std::vector<Result<void>>> remove(std::span<const Receipt> receipts,
                                                   const CallLimits& limits = {}) = 0;

  /// Approximate on SQS: may be wrong for a minute or more.
  virtual Result<QueueDepth> depth(const CallLimits& limits = {}) = 0;
};

/// Opens queues by name; a request's reply_to names one. Thread-safe; the same name gives the same queue. Blocks at
/// most until its limits.
class QueueDirectory {
 public:
  virtual ~QueueDirectory() = default;
  /// Errors: invalid "bad_queue_name"; not_found "no_such_queue" where queues are not made on demand.
  virtual Result<std::shared_ptr<MessageQueue>> open(const std::string& name, const CallLimits& limits = {}) = 0;
};

}  // namespace imgrec
