// Message queues in memory with the semantics of lib/ports/message_queue.hpp, on any Clock, with injectable faults.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "lib/ports/message_queue.hpp"
#include "tests/support/faults.hpp"

namespace imgrec::test {

class MemoryQueue;

struct MemoryQueueOptions {
  bool fifo = false;
  int receives_max = 0;                        // maxReceiveCount; 0: no dead-letter queue
  std::shared_ptr<MemoryQueue> dead_letter{};  // needed with receives_max
  bool tells_receive_counts = true;
};

enum class QueueCall { send, receive, extend, remove, depth };

/// Thread-safe. A long poll ends at once when a message comes, and when the clock (also a FakeClock) passes its wait or
/// the time at which a hidden message becomes visible.
class MemoryQueue final : public MessageQueue {
 public:
  explicit MemoryQueue(Clock& clock, MemoryQueueOptions options = {}) : clock_(clock), options_(std::move(options)) {}

  Result<std::vector<Result<MessageId>>> send(std::span<const OutgoingMessage> messages,
                                              const CallLimits& limits = {}) override;
  Result<std::vector<Message>> receive(const ReceiveOptions& options, std::stop_token stop) override;
  Result<std::vector<Result<void>>> extend(std::span<const Receipt> receipts, Millis visibility,
                                           const CallLimits& limits = {}) override;
  Result<std::vector<Result<void>>> remove(std::span<const Receipt> receipts, const CallLimits& limits = {}) override;
  Result<QueueDepth> depth(const CallLimits& limits = {}) override;

  // For tests:
  Faults<QueueCall> faults;
  /// Sends one message, whatever faults are planned.
  void push(std::string body);
  /// The bodies of all messages that are not removed, oldest first.
  std::vector<std::string> bodies() const;
  /// Makes every hidden message visible now, as if its lease had ended: the next receive delivers it again.
  void expire_leases();

 private:
  struct Entry {
    MessageId id;
    OutgoingMessage message;
    WallTime sent_at{};
    MonoTime accepted_at{};
    MonoTime visible_at{};
    Receipt receipt;  // of the latest delivery
    int receive_count = 0;
  };
  struct Accepted {
    MonoTime at{};
    MessageId id;
  };

  Result<MessageId> accept(const OutgoingMessage& message);
  std::vector<Message> take_visible(const ReceiveOptions& options);
  std::optional<MonoTime> next_visible_at() const;
  std::list<Entry>::iterator find(const Receipt& receipt);
  void adopt(Entry entry);
  void wake_pollers();

  Clock& clock_;
  const MemoryQueueOptions options_;
  mutable std::mutex mutex_;
  std::list<Entry> entries_;
  std::map<std::string, Accepted> seen_;  // by dedup id
  std::list<std::stop_source> pollers_;   // a stop is how a sleeper of any Clock is woken
  std::uint64_t last_number_ = 0;
};

struct MemoryQueuesOptions {
  bool make_on_demand = true;  // else open() of a name that create() did not make is not_found "no_such_queue"
  MemoryQueueOptions queue;    // of queues made on demand
};

/// Thread-safe.
class MemoryQueues final : public QueueDirectory {
 public:
  explicit MemoryQueues(Clock& clock, MemoryQueuesOptions options = {}) : clock_(clock), options_(std::move(options)) {}

  Result<std::shared_ptr<MessageQueue>> open(const std::string& name, const CallLimits& limits = {}) override;

  // For tests:
  enum class Call { open };
  Faults<Call> faults;
  /// Makes the queue, or replaces the one with that name.
  std::shared_ptr<MemoryQueue> create(const std::string& name, MemoryQueueOptions options = {});
  /// The queue with that name; made when it is not there.
  std::shared_ptr<MemoryQueue> queue(const std::string& name);

 private:
  Clock& clock_;
  const MemoryQueuesOptions options_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<MemoryQueue>> queues_;
};

}  // namespace imgrec::test
