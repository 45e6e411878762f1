#include "lib/local/sqlite_store.hpp"

#include <unistd.h>

#include <poll.h>

#include <algorithm>
#include <charconv>
#include <utility>

namespace imgrec {
namespace {

constexpr std::int64_t kApplicationId = 0x696D6772;  // "imgr"
constexpr std::int64_t kVersion = 1;
constexpr Millis kWriterWait{60'000};  // for another process that writes
constexpr long kLockNapMinNs = 50'000, kLockNapMaxNs = 4'000'000;
constexpr std::int64_t kDedupMs = 5 * 60'000;
constexpr std::int64_t kDelayMaxMs = 15 * 60'000;  // of OutgoingMessage::delay
// Beyond the limit on messages: receiving and removing need some room too, and a full file must not stop them.
constexpr std::uint64_t kHeadroomBytes = 4 * kMiB;
constexpr int kRoundsMax = 100;  // of moving dead letters away within one receive

// Times are milliseconds of the file's own time (see the header). A message is hidden while visible_at lies ahead:
// in flight when it was received before, else delayed. seq, in the order of the commits, is the order of FIFO queues.
constexpr const char* kSchema = R"(
  CREATE TABLE queues(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, fifo INTEGER NOT NULL) STRICT;
  CREATE TABLE messages(
    seq INTEGER PRIMARY KEY, queue INTEGER NOT NULL, visible_at INTEGER NOT NULL, receives INTEGER NOT NULL,
    sent_at INTEGER NOT NULL, receipt INTEGER, id TEXT NOT NULL, group_id TEXT, body TEXT NOT NULL) STRICT;
  CREATE INDEX messages_ready ON messages(queue, visible_at, receives, sent_at);
  CREATE INDEX messages_order ON messages(queue, seq, group_id) WHERE group_id IS NOT NULL;
  CREATE TABLE dedup(queue INTEGER NOT NULL, dedup_id TEXT NOT NULL, message_id TEXT NOT NULL, expires_at INTEGER NOT NULL,
    PRIMARY KEY(queue, dedup_id)) STRICT, WITHOUT ROWID;
  CREATE INDEX dedup_expiry ON dedup(expires_at))";

// In the order of messages_ready, so that the first ones are found without sorting.
constexpr const char* kReady =
    "SELECT seq, receives FROM messages INDEXED BY messages_ready WHERE queue=?1 AND visible_at<=?2 "
    "ORDER BY visible_at, receives, sent_at, seq LIMIT ?3";
// The groups with a message in flight are few (as many as messages in flight), and are looked up once per query.
constexpr const char* kReadyInOrder =
    "SELECT seq, receives FROM messages INDEXED BY messages_order WHERE queue=?1 AND group_id IS NOT NULL AND group_id "
    "NOT IN "
    "(SELECT group_id FROM messages INDEXED BY messages_ready WHERE queue=?1 AND visible_at>?2 AND group_id IS NOT "
    "NULL) "
    "ORDER BY seq LIMIT ?3";
constexpr const char* kNextAt =
    "SELECT min(visible_at) FROM messages INDEXED BY messages_ready WHERE queue=?1 AND visible_at>?2";
constexpr const char* kDeadLetter =
    "UPDATE messages SET queue=?2, visible_at=?3, receives=0, receipt=NULL, group_id=coalesce(group_id, ?4) "
    "WHERE seq=?1";
constexpr const char* kDeliver =
    "UPDATE messages SET visible_at=?2, receives=receives+1, receipt=?3 WHERE seq=?1 "
    "RETURNING id, body, group_id, receives, sent_at";
// Like SQS: only what is in flight can be extended, so that a late extension does not hide a message again that was
// returned to the queue.
constexpr const char* kExtend =
    "UPDATE messages SET visible_at=?4 WHERE seq=?1 AND receipt=?2 AND queue=?3 AND visible_at>?5";
constexpr const char* kRemove = "DELETE FROM messages WHERE seq=?1 AND receipt=?2 AND queue=?3";
constexpr const char* kDepth =
    "SELECT count(*) FILTER (WHERE visible_at<=?2), count(*) FILTER (WHERE visible_at>?2 AND receives>0), "
    "count(*) FILTER (WHERE visible_at>?2 AND receives=0), min(sent_at) "
    "FROM messages INDEXED BY messages_ready WHERE queue=?1";
constexpr const char* kRemoveUnread =
    "DELETE FROM messages WHERE seq IN (SELECT m.seq FROM queues q CROSS JOIN messages m INDEXED BY messages_ready "
    "ON m.queue=q.id AND m.visible_at<?1 LIMIT ?2)";

// An addition to version 1, so that older files go on. One row: the boot in which the file's time is MonoTime + offset.
constexpr const char* kTimeSchema =
    "CREATE TABLE IF NOT EXISTS time(boot TEXT NOT NULL, offset INTEGER NOT NULL) STRICT";
// A return to the queue (a lease that ends now) is no delivery: it does not count.
constexpr const char* kReturn =
    "UPDATE messages SET visible_at=?4, receives=max(receives-1, 0) "
    "WHERE seq=?1 AND receipt=?2 AND queue=?3 AND visible_at>?4";

// A receipt's number is random, with the receiver's process id (22 bits on Linux) above: so the leases of a process
// that died can be ended at once.
constexpr int kProcessShift = 40;
constexpr std::uint64_t kNonceMask = (std::uint64_t{1} << kProcessShift) - 1;
constexpr const char* kReleaseHeld =
    "UPDATE messages SET visible_at=?2 WHERE seq IN (SELECT m.seq FROM queues q CROSS JOIN messages m "
    "INDEXED BY messages_ready ON m.queue=q.id AND m.visible_at>?2 WHERE m.receives>0 AND m.receipt>>40=?1) "
    "RETURNING queue";

std::int64_t to_ms(WallTime time) {
  return time.time_since_epoch().count();
}
WallTime from_ms(std::int64_t ms) {
  return WallTime(Millis(ms));
}

// A receipt is "SEQ-NONCE" in hexadecimal.
struct ReceiptParts {
  std::int64_t seq = 0, nonce = 0;
};

Receipt make_receipt(std::int64_t seq, std::int64_t nonce) {
  char text[40];
  char* end = std::to_chars(text, text + 17, static_cast<std::uint64_t>(seq), 16).ptr;
  *end++ = '-';
  end = std::to_chars(end, text + sizeof text, static_cast<std::uint64_t>(nonce), 16).ptr;
  return Receipt(std::string(text, end));
}

std::optional<ReceiptParts> parse_receipt(std::string_view text) {
  const char* end = text.data() + text.size();
  std::uint64_t seq = 0, nonce = 0;
  const auto first = std::from_chars(text.data(), end, seq, 16);
  if (first.ec != std::errc() || first.ptr == end || *first.ptr != '-') return std::nullopt;
  const auto second = std::from_chars(first.ptr + 1, end, nonce, 16);
  if (second.ec != std::errc() || second.ptr != end) return std::nullopt;
  return ReceiptParts{static_cast<std::int64_t>(seq), static_cast<std::int64_t>(nonce)};
}

}  // namespace

Result<std::unique_ptr<SqliteStore>> SqliteStore::open(const SqliteStoreOptions& options, const Clock& clock,
                                                       Rng& rng) {
  auto db = SqlDb::open(
      {options.file, options.bytes_max + kHeadroomBytes, kApplicationId, kVersion, kSchema, options.sync_file});
  if (!db) return fail(db.error());
  std::unique_ptr<SqliteStore> store(new SqliteStore(*std::move(db), options.bytes_max, clock, rng));
  if (auto begun = store->begin_time(options.boot_id); !begun) return fail(begun.error());
  return store;
}

WallTime SqliteStore::now() const {
  return WallTime(std::chrono::floor<Millis>(clock_.mono_now().time_since_epoch()) + time_offset_);
}

Result<void> SqliteStore::begin_time(const std::string& boot_id) {
  const Millis mono = std::chrono::floor<Millis>(clock_.mono_now().time_since_epoch());
  time_offset_ = clock_.wall_now().time_since_epoch() - mono;
  if (boot_id.empty()) return {};  // each process its own: as good as the wall clock
  return write({}, [&]() -> Result<void> {
    if (auto made = db_->query(kTimeSchema).run(); !made) return made;
    bool is_new = true;
    {
      SqlQuery row = db_->query("SELECT boot, offset FROM time");
      const auto found = row.step();
      if (!found) return fail(found.error());
      if (*found && row.text(0) == boot_id) {
        time_offset_ = Millis(row.integer(1));
        return {};
      }
      is_new = !*found;
    }
    if (auto forgotten = db_->query("DELETE FROM time").run(); !forgotten) return forgotten;
    auto told =
        db_->query("INSERT INTO time(boot, offset) VALUES(?1, ?2)", std::string_view(boot_id), time_offset_.count())
            .run();
    if (!told || is_new) return told;
    return begin_boot(to_ms(now()));
  });
}

// Nothing stays hidden for longer than it may have been meant to, wherever the wall clock stands after the start.
Result<void> SqliteStore::begin_boot(std::int64_t now) {
  for (const auto& [sql, until] :
       {std::pair("UPDATE messages SET visible_at=?1 WHERE visible_at>?1 AND receives>0", now),
        std::pair("UPDATE messages SET visible_at=?1 WHERE visible_at>?1 AND receives=0", now + kDelayMaxMs),
        std::pair("UPDATE dedup SET expires_at=?1 WHERE expires_at>?1", now + kDedupMs)}) {
    if (auto done = db_->query(sql, until).run(); !done) return done;
  }
  return {};
}

Result<void> SqliteStore::write(const CallLimits& limits, const std::function<Result<void>()>& body) {
  const CallLimits within = limits.at_most(system_clock(), kWriterWait);
  timespec nap{0, kLockNapMinNs};
  while (true) {
    Result<void> done;
    {
      std::lock_guard lock(mutex_);
      done = db_->transaction(Millis(0), body);
    }
    if (done || done.error().code != "queue_busy") return done;
    if (within.stop.stop_requested()) return within.check(system_clock());
    if (within.deadline.left(system_clock()) == Millis(0)) return done;
    ::ppoll(nullptr, 0, &nap, nullptr);
    nap.tv_nsec = std::min(2 * nap.tv_nsec, kLockNapMaxNs);
  }
}

Result<std::int64_t> SqliteStore::queue_id(const std::string& name, bool fifo) {
  std::int64_t id = 0;
  const auto done = write({}, [&]() -> Result<void> {
    auto made = db_->query("INSERT OR IGNORE INTO queues(name, fifo) VALUES(?1, ?2)", std::string_view(name),
                           std::int64_t{fifo})
                    .run();
    if (!made) return made;
    SqlQuery row = db_->query("SELECT id, fifo FROM queues WHERE name=?1", std::string_view(name));
    if (auto found = row.step(); !found) return fail(found.error());
    id = row.integer(0);
    if ((row.integer(1) != 0) == fifo) return {};
    return fail(ErrorKind::invalid, "queue_type_differs",
                "The queue " + name + " was made as a " + (fifo ? "standard" : "FIFO") +
                    " queue. Use another name, or the type that it has.");
  });
  if (!done) return fail(done.error());
  return id;
}

Result<std::vector<MessageId>> SqliteStore::send(const QueueRow& queue,
                                                 std::span<const OutgoingMessage* const> messages,
                                                 const CallLimits& limits) {
  std::vector<MessageId> ids;
  const auto done = write(limits, [&]() -> Result<void> {
    ids.clear();
    const std::int64_t now = now_ms();
    if (queue.fifo) {
      auto purged = db_->query("DELETE FROM dedup WHERE expires_at<=?1", now).run();
      if (!purged) return purged;
    }
    if (auto room = check_room(messages); !room) return room;
    for (const OutgoingMessage* message : messages) {
      auto id = insert(queue, *message, now);
      if (!id) return fail(id.error());
      ids.push_back(*std::move(id));
    }
    return {};
  });
  if (!done) return fail(done.error());
  return ids;
}

Result<void> SqliteStore::check_room(std::span<const OutgoingMessage* const> messages) {
  const auto used = db_->bytes_used();
  if (!used) return fail(used.error());
  std::uint64_t wanted = 0;
  for (const OutgoingMessage* message : messages) wanted += message->body.size();
  if (*used + wanted <= bytes_max_) return {};
  return fail(ErrorKind::transient, "disk_full",
              "The queues have reached their limit of " + std::to_string(bytes_max_ / kMiB) +
                  " MiB. There is room again when messages have been worked off.");
}

Result<MessageId> SqliteStore::insert(const QueueRow& queue, const OutgoingMessage& message, std::int64_t now) {
  if (queue.fifo) {
    auto seen = seen_before(queue, message, now);
    if (!seen) return fail(seen.error());
    if (*seen) return **std::move(seen);
  }
  MessageId id(random_hex(rng_, 16));
  const std::string_view id_text = id.str(), body = message.body, group = message.group_id;
  Result<void> done;
  if (queue.fifo) {
    done = db_->query(
                  "INSERT INTO messages(queue, visible_at, receives, sent_at, id, body, group_id) "
                  "VALUES(?1, ?2, 0, ?2, ?3, ?4, ?5)",
                  queue.id, now, id_text, body, group)
               .run();
    if (done) {
      done = db_->query("INSERT INTO dedup(queue, dedup_id, message_id, expires_at) VALUES(?1, ?2, ?3, ?4)", queue.id,
                        std::string_view(message.dedup_id), id_text, now + kDedupMs)
                 .run();
    }
  } else {
    const std::int64_t visible_at = now + message.delay.count();
    done =
        db_->query("INSERT INTO messages(queue, visible_at, receives, sent_at, id, body) VALUES(?1, ?2, 0, ?3, ?4, ?5)",
                   queue.id, visible_at, now, id_text, body)
            .run();
  }
  if (!done) return fail(done.error());
  return id;
}

Result<std::optional<MessageId>> SqliteStore::seen_before(const QueueRow& queue, const OutgoingMessage& message,
                                                          std::int64_t now) {
  SqlQuery row = db_->query("SELECT message_id FROM dedup WHERE queue=?1 AND dedup_id=?2 AND expires_at>?3", queue.id,
                            std::string_view(message.dedup_id), now);
  const auto found = row.step();
  if (!found) return fail(found.error());
  if (!*found) return std::nullopt;
  return MessageId(std::string(row.text(0)));
}

Result<std::vector<SqliteStore::Candidate>> SqliteStore::candidates(const QueueRow& queue, std::int64_t now,
                                                                    std::size_t count) {
  std::vector<Candidate> found;
  SqlQuery rows = db_->query(queue.fifo ? kReadyInOrder : kReady, queue.id, now, static_cast<std::int64_t>(count));
  while (true) {
    const auto row = rows.step();
    if (!row) return fail(row.error());
    if (!*row) return found;
    found.push_back({rows.integer(0), rows.integer(1)});
  }
}

Result<Delivery> SqliteStore::receive(const QueueRow& queue, int messages_max, Millis visibility,
                                      const CallLimits& limits) {
  Delivery delivery;
  const std::int64_t looked_at = now_ms();
  // Looked at without the write lock first: polls of an empty queue disturb nobody.
  const auto any = [&] {
    std::lock_guard lock(mutex_);
    return candidates(queue, looked_at, 1);
  }();
  if (!any) return fail(any.error());
  if (!any->empty()) {
    const auto done = write(limits, [&] {
      delivery = {};
      return deliver(queue, delivery, static_cast<std::size_t>(messages_max), visibility, now_ms());
    });
    if (!done) return fail(done.error());
  }
  if (delivery.messages.empty()) {
    std::lock_guard lock(mutex_);
    SqlQuery next = db_->query(kNextAt, queue.id, looked_at);
    if (auto row = next.step(); !row) return fail(row.error());
    if (!next.is_null(0)) delivery.next_at = from_ms(next.integer(0));
  }
  return delivery;
}

Result<void> SqliteStore::deliver(const QueueRow& queue, Delivery& delivery, std::size_t count, Millis visibility,
                                  std::int64_t now) {
  for (int round = 0; round < kRoundsMax; ++round) {
    const std::size_t wanted = count - delivery.messages.size();
    const auto found = candidates(queue, now, wanted);
    if (!found) return fail(found.error());
    bool moved = false;
    for (const Candidate& candidate : *found) {
      const auto delivered = deliver_one(queue, candidate, delivery, visibility, now);
      if (!delivered) return fail(delivered.error());
      moved |= !*delivered;
    }
    if (!moved) break;  // else there may be more behind the dead letters
    delivery.dead_lettered = true;
    // What was delivered in this round is no candidate of the next, unless it stays visible.
    if (visibility == Millis(0) && !delivery.messages.empty()) break;
  }
  return {};
}

// False when it went to the dead-letter queue instead.
Result<bool> SqliteStore::deliver_one(const QueueRow& queue, const Candidate& candidate, Delivery& delivery,
                                      Millis visibility, std::int64_t now) {
  const std::int64_t seq = candidate.seq;
  if (queue.receives_max > 0 && candidate.receives >= queue.receives_max) {
    const std::string group = "dead-" + std::to_string(seq);  // only matters where the dead-letter queue is FIFO
    if (auto moved = db_->query(kDeadLetter, seq, queue.dead_letter, now, std::string_view(group)).run(); !moved) {
      return fail(moved.error());
    }
    return false;
  }
  const auto nonce = static_cast<std::int64_t>(rng_.next() & kNonceMask) | (std::int64_t{::getpid()} << kProcessShift);
  SqlQuery row = db_->query(kDeliver, seq, now + visibility.count(), nonce);
  const auto found = row.step();
  if (!found) return fail(found.error());
  if (!*found) return fail(ErrorKind::bug, "message_vanished", "A message vanished inside of a transaction.");
  delivery.messages.push_back({.id = MessageId(std::string(row.text(0))),
                               .receipt = make_receipt(seq, nonce),
                               .body = std::string(row.text(1)),
                               .group_id = std::string(row.text(2)),
                               .receive_count = static_cast<int>(row.integer(3)),
                               .sent_at = from_ms(row.integer(4))});
  // To the end: SQLite counts the update as done, and its changes as made, only then.
  if (auto end = row.step(); !end) return fail(end.error());
  return true;
}

Result<std::vector<bool>> SqliteStore::extend(const QueueRow& queue, std::span<const Receipt> receipts,
                                              Millis visibility, const CallLimits& limits) {
  std::vector<bool> good;
  const auto done = write(limits, [&]() -> Result<void> {
    good.clear();
    const std::int64_t now = now_ms();  // not from before the wait
    for (const Receipt& receipt : receipts) {
      const auto parts = parse_receipt(receipt.str());
      if (!parts) {
        good.push_back(false);
        continue;
      }
      auto extended =
          visibility == Millis(0)
              ? db_->query(kReturn, parts->seq, parts->nonce, queue.id, now).run()
              : db_->query(kExtend, parts->seq, parts->nonce, queue.id, now + visibility.count(), now).run();
      if (!extended) return extended;
      good.push_back(db_->rows_changed() > 0);
    }
    return {};
  });
  if (!done) return fail(done.error());
  return good;
}

Result<std::vector<bool>> SqliteStore::remove(const QueueRow& queue, std::span<const Receipt> receipts,
                                              const CallLimits& limits) {
  std::vector<bool> good;
  const auto done = write(limits, [&]() -> Result<void> {
    good.clear();
    for (const Receipt& receipt : receipts) {
      const auto parts = parse_receipt(receipt.str());
      if (!parts) {
        good.push_back(false);
        continue;
      }
      auto removed = db_->query(kRemove, parts->seq, parts->nonce, queue.id).run();
      if (!removed) return removed;
      good.push_back(db_->rows_changed() > 0);
    }
    return {};
  });
  if (!done) return fail(done.error());
  return good;
}

Result<QueueDepth> SqliteStore::depth(const QueueRow& queue) {
  std::lock_guard lock(mutex_);
  SqlQuery row = db_->query(kDepth, queue.id, now_ms());
  if (auto found = row.step(); !found) return fail(found.error());
  QueueDepth depth;
  depth.visible = static_cast<std::uint64_t>(row.integer(0));
  depth.in_flight = static_cast<std::uint64_t>(row.integer(1));
  depth.delayed = static_cast<std::uint64_t>(row.integer(2));
  if (!row.is_null(3)) depth.oldest_age = std::max(Millis(0), now() - from_ms(row.integer(3)));
  return depth;
}

Result<std::map<std::int64_t, std::uint64_t>> SqliteStore::release_held_by(pid_t process, const CallLimits& limits) {
  std::map<std::int64_t, std::uint64_t> released;
  const auto done = write(limits, [&]() -> Result<void> {
    released.clear();
    SqlQuery rows = db_->query(kReleaseHeld, std::int64_t{process}, now_ms());
    while (true) {
      const auto row = rows.step();
      if (!row) return fail(row.error());
      if (!*row) return {};
      ++released[rows.integer(0)];
    }
  });
  if (!done) return fail(done.error());
  return released;
}

Result<std::uint64_t> SqliteStore::remove_unread(WallTime before, std::uint64_t count_max) {
  std::uint64_t removed = 0;
  const auto done = write({}, [&]() -> Result<void> {
    auto deleted = db_->query(kRemoveUnread, to_ms(before), static_cast<std::int64_t>(count_max)).run();
    if (deleted) removed = static_cast<std::uint64_t>(db_->rows_changed());
    return deleted;
  });
  if (!done) return fail(done.error());
  return removed;
}

}  // namespace imgrec
