// One SQLite connection in WAL mode: cached statements, immediate transactions, errors as values.
//
// Durability. A commit is in the kernel's hands when commit() returns (synchronous=NORMAL): kill -9 of everything loses
// nothing, and a power cut damages nothing but may take the latest commits. sync() puts all commits before it on the
// disk too. It takes no lock of the database, and threads that ask for it at the same time share one fdatasync: so a
// caller that needs it pays a disk write, and nobody else waits.
//
// Lost writes. Linux reports a failed write to the disk once and then takes the lost page for clean; and of SQLite's
// log all that follows a lost page is worthless after a power cut. So after a failed fdatasync every sync() fails until
// the whole log has been written again.
#pragma once

#include <atomic>
#include <concepts>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "lib/base/clock.hpp"
#include "lib/base/file.hpp"
#include "lib/base/result.hpp"
#include "lib/base/units.hpp"

struct sqlite3;
struct sqlite3_stmt;

namespace imgrec {

/// A statement in use: bound, not yet at its end. Destroying it makes the statement free again.
class SqlQuery {
 public:
  template <class... Values>
  SqlQuery(sqlite3* db, sqlite3_stmt* statement, const Values&... values) : db_(db), statement_(statement) {
    int index = 0;
    (void)index;
    (bind(++index, values), ...);
  }
  ~SqlQuery();
  SqlQuery(const SqlQuery&) = delete;
  SqlQuery& operator=(const SqlQuery&) = delete;

  /// To the next row: true when there is one.
  Result<bool> step();
  /// For statements without rows.
  Result<void> run();

  std::int64_t integer(int column) const;
  bool is_null(int column) const;
  /// Valid until the next step().
  std::string_view text(int column) const;

  void bind(int index, std::int64_t value);
  /// The text has to outlive the query.
  void bind(int index, std::string_view value);

 private:
  sqlite3* db_;
  sqlite3_stmt* statement_;  // null when it could not be prepared: step() says why
};

struct SqlDbOptions {
  std::filesystem::path file;
  std::uint64_t bytes_max;               // of the file
  std::int64_t application_id;           // tells our files from other programs'
  std::int64_t version;                  // of the schema
  const char* schema;                    // statements that make it
  std::function<int(int fd)> sync_file;  // like fdatasync(2), which it is when empty: tests make it fail
};

/// One thread at a time, but for sync(), which any thread may call at any time.
class SqlDb {
 public:
  /// Errors: denied "queue_denied"; invalid "queue_file_damaged", "queue_file_newer"; transient "disk_full",
  /// "queue_unavailable".
  static Result<std::unique_ptr<SqlDb>> open(const SqlDbOptions& options);
  ~SqlDb();
  SqlDb(const SqlDb&) = delete;
  SqlDb& operator=(const SqlDb&) = delete;

  /// `sql` is a literal: its address names the prepared statement.
  template <class... Values>
  SqlQuery query(const char* sql, const Values&... values) {
    return SqlQuery(connection_, prepared(sql), values...);
  }

  /// Runs body between BEGIN IMMEDIATE and COMMIT; an error of body rolls back. Waits at most `wait` for others that
  /// write; then it has done nothing and is transient "queue_busy".
  template <std::invocable Body>
  Result<void> transaction(Millis wait, Body&& body) {
    lock_wait_ = wait;
    auto begun = query("BEGIN IMMEDIATE").run();
    lock_wait_ = kStatementWait;
    if (!begun) return begun;
    auto done = body();
    if (done) done = query("COMMIT").run();
    if (!done)
      roll_back();
    else
      ++commits_;
    return done;
  }

  std::int64_t rows_changed() const;

  /// Of the file, without what is free in it.
  Result<std::uint64_t> bytes_used();

  /// All commits of this connection before the call survive a power cut. After an error they may not, even if a later
  /// sync() succeeds for later ones. Waits for the disk, but not beyond its limits for what other threads do there.
  Result<void> sync(const CallLimits& limits);

 private:
  static constexpr Millis kStatementWait{1'000};  // for what rarely is locked at all: reading, and ending a transaction

  SqlDb(sqlite3* connection, const SqlDbOptions& options);
  static int on_busy(void* self, int attempt);
  sqlite3_stmt* prepared(const char* sql);
  Result<void> configure(const SqlDbOptions& options);
  Result<void> make_schema(const SqlDbOptions& options);
  Result<void> execute(const std::string& sql);
  Result<std::int64_t> number(const char* sql);
  void roll_back();
  int rewrite_log();

  sqlite3* connection_;
  const std::filesystem::path file_;
  const std::function<int(int fd)> sync_file_;
  std::unordered_map<const void*, sqlite3_stmt*> statements_;
  Millis lock_wait_;
  MonoTime busy_since_{};

  Fd wal_;
  std::atomic<std::uint64_t> commits_ = 0;
  std::mutex sync_mutex_;
  std::condition_variable_any synced_changed_;
  std::uint64_t synced_ = 0;    // commits known to be on the disk
  std::uint64_t failures_ = 0;  // of syncs: whoever waited during one is told so, whatever comes after
  bool log_is_bad_ = false;     // since a sync failed: the log has to be written again first
  int sync_error_ = 0;          // errno of the latest failure
  MonoTime rewrite_at_{};       // not before
  bool syncing_ = false;
};

}  // namespace imgrec
