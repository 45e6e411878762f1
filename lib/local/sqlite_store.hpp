// The tables behind sqlite_queue: every statement on them, and nothing about waiting.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
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

struct SqliteStoreOptions {
  std::filesystem::path file;
  std::uint64_t bytes_max = 0;
  std::function<int(int fd)> sync_file;  // as SqlDbOptions
  std::string boot_id;
};

/// Thread-safe: one connection, one thread at a time. Transactions take tens of microseconds, so that a connection per
/// thread gains nothing: SQLite has one writer at a time anyhow. Nobody holds the connection while it waits for another
/// process that writes: what only reads goes on meanwhile.
///
/// Times, in and out, are the file's own: monotonic, so that nothing is hidden for longer because somebody set the wall
/// clock back, and the same for all processes until the machine is started anew. Then the file's time goes on at the
/// wall clock's; what was in flight can be received at once, since whoever held it is gone.
///
/// Limits are the real time's, whatever clock the caller has: other processes are real.
class SqliteStore {
 public:
  static Result<std::unique_ptr<SqliteStore>> open(const SqliteStoreOptions& options, const Clock& clock, Rng& rng);

  /// Now in the file's time.
  WallTime now() const;

  /// The id of the queue, which is made when it is not there. Errors: invalid "queue_type_differs".
  Result<std::int64_t> queue_id(const std::string& name, bool fifo);

  /// The messages are checked already. All or none are sent; the ids in their order.
  Result<std::vector<MessageId>> send(const QueueRow& queue, std::span<const OutgoingMessage* const> messages,
                                      const CallLimits& limits);
  /// What send() committed before survives a power cut.
  Result<void> sync(const CallLimits& limits) { return db_->sync(limits); }

  Result<Delivery> receive(const QueueRow& queue, int messages_max, Millis visibility, const CallLimits& limits);

  /// Per receipt: whether it is still good.
  Result<std::vector<bool>> extend(const QueueRow& queue, std::span<const Receipt> receipts, Millis visibility,
                                   const CallLimits& limits);
  Result<std::vector<bool>> remove(const QueueRow& queue, std::span<const Receipt> receipts, const CallLimits& limits);

  Result<QueueDepth> depth(const QueueRow& queue);

  /// Of any queue: what has been visible since before then. Returns how many; fewer than count_max: there are no more.
  Result<std::uint64_t> remove_unread(WallTime before, std::uint64_t count_max);

  /// Ends the leases of what that process received. Per queue: how many messages.
  Result<std::map<std::int64_t, std::uint64_t>> release_held_by(pid_t process, const CallLimits& limits);

 private:
  SqliteStore(std::unique_ptr<SqlDb> db, std::uint64_t bytes_max, const Clock& clock, Rng& rng)
      : db_(std::move(db)), bytes_max_(bytes_max), clock_(clock), rng_(rng) {}
  /// Runs body in a transaction, with the connection to itself.
  Result<void> write(const CallLimits& limits, const std::function<Result<void>()>& body);
  Result<void> begin_time(const std::string& boot_id);
  Result<void> begin_boot(std::int64_t now);
  std::int64_t now_ms() const { return now().time_since_epoch().count(); }
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
  const Clock& clock_;
  Millis time_offset_{0};  // of the file's time from MonoTime
  Rng& rng_;
};

}  // namespace imgrec
