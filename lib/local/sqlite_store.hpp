// The tables behind sqlite_queue: every statement on them, and nothing about waiting.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lib/base/rng.hpp"
#include "lib/local/sqlite_db.hpp"
#include "lib/ports/message_queue.hpp"

namespace imgrec {

/// A queue as its table row and its options make it.
struct QueueRow {
  std::int64_t id = 0;
  bool fifo = false;
  int receives_max = 0;  // 0: no dead-letter queue
  std::int64_t dead_letter = 0;
  bool synced = true;  // sends wait for the disk
};

struct Delivery {
  std::vector<Message> messages;
  std::optional<WallTime> next_at;  // when nothing was delivered: the time at which a hidden message becomes visible
  bool dead_lettered = false;       // something was moved to the dead-letter queue
};

/// Thread-safe: one connection, one thread at a time. Transactions take tens of microseconds, so that a connection per
/// thread gains nothing: SQLite has one writer at a time anyhow.
class SqliteStore {
 public:
  static Result<std::unique_ptr<SqliteStore>> open(const std::filesystem::path& file, std::uint64_t bytes_max,
                                                   Rng& rng);

  /// The id of the queue, which is made when it is not there. Errors: invalid "queue_type_differs".
  Result<std::int64_t> queue_id(const std::string& name, bool fifo);

  /// The messages are checked already. All or none are sent; the ids in their order.
  Result<std::vector<MessageId>> send(const QueueRow& queue, std::span<const OutgoingMessage* const> messages,
                                      WallTime now, Millis wait);
  /// What send() committed before survives a power cut.
  Result<void> sync() { return db_->sync(); }

  Result<Delivery> receive(const QueueRow& queue, int messages_max, Millis visibility, WallTime now);

  /// Per receipt: whether it is still good.
  Result<std::vector<bool>> extend(const QueueRow& queue, std::span<const Receipt> receipts, Millis visibility,
                                   WallTime now);
  Result<std::vector<bool>> remove(const QueueRow& queue, std::span<const Receipt> receipts);

  Result<QueueDepth> depth(const QueueRow& queue, WallTime now);

  /// Of any queue: what has been visible since before then. Returns how many; fewer than count_max: there are no more.
  Result<std::uint64_t> remove_unread(WallTime before, std::uint64_t count_max);

 private:
  SqliteStore(std::unique_ptr<SqlDb> db, std::uint64_t bytes_max, Rng& rng)
      : db_(std::move(db)), bytes_max_(bytes_max), rng_(rng) {}
  Result<void> check_room(std::span<const OutgoingMessage* const> messages);
  Result<MessageId> insert(const QueueRow& queue, const OutgoingMessage& message, std::int64_t now);
  Result<std::optional<MessageId>> seen_before(const QueueRow& queue, const OutgoingMessage& message, std::int64_t now);
  struct Candidate {
    std::int64_t seq, receives;
  };
  Result<std::vector<Candidate>> candidates(const QueueRow& queue, std::int64_t now, std::size_t count);
  Result<void> deliver(const QueueRow& queue, Delivery& delivery, std::size_t count, Millis visibility,
                       std::int64_t now);
  Result<bool> deliver_one(const QueueRow& queue, const Candidate& candidate, Delivery& delivery, Millis visibility,
                           std::int64_t now);

  std::mutex mutex_;
  std::unique_ptr<SqlDb> db_;
  const std::uint64_t bytes_max_;
  Rng& rng_;
};

}  // namespace imgrec
