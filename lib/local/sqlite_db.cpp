#include "lib/local/sqlite_db.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sqlite3.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <stop_token>

namespace imgrec {
namespace {

constexpr Millis kOpenWait{10'000};
constexpr Millis kRewritePause{1'000};  // after a failed sync, before the log is written again
constexpr std::size_t kRewriteBytes = kMiB;
constexpr std::int64_t kPageBytes = 4096;
constexpr const char* kWalPages = "4000";  // 16 MiB of changes between checkpoints
constexpr const char* kWalBytesKept = "67108864";

std::unexpected<Error> sql_error(sqlite3* db, int code) {
  const std::string detail = db != nullptr ? sqlite3_errmsg(db) : sqlite3_errstr(code);
  const int system = db != nullptr ? sqlite3_system_errno(db) : 0;
  switch (code & 0xFF) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return fail(ErrorKind::invalid, "queue_file_damaged",
                  "The queue file is damaged (" + detail +
                      "). Move it away, with its -wal and -shm files, to begin with empty queues.");
    case SQLITE_FULL:
      return fail(ErrorKind::transient, "disk_full",
                  "The disk is full, or the queue file has reached its limit. Free some space.");
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return fail(ErrorKind::denied, "queue_denied", "The queue file cannot be written: " + detail + ".");
    case SQLITE_CANTOPEN:
    case SQLITE_IOERR:
      if (system == ENOSPC || system == EDQUOT) {
        return fail(ErrorKind::transient, "disk_full", "The disk with the queue file is full. Free some space.");
      }
      if (system == EACCES || system == EPERM || system == EROFS) {
        return fail(ErrorKind::denied, "queue_denied",
                    "The queue file cannot be opened: " + std::string(std::strerror(system)) + ".");
      }
      break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return fail(ErrorKind::transient, "queue_busy", "Another process keeps the queue file locked.");
    default: break;
  }
  return fail(ErrorKind::transient, "queue_unavailable", "The queue file failed: " + detail + ".");
}

}  // namespace

SqlQuery::~SqlQuery() {
  if (statement_ == nullptr) return;
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

Result<bool> SqlQuery::step() {
  if (statement_ == nullptr) return sql_error(db_, sqlite3_errcode(db_));
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return sql_error(db_, code);
}

Result<void> SqlQuery::run() {
  if (auto row = step(); !row) return fail(row.error());
  return {};
}

std::int64_t SqlQuery::integer(int column) const {
  return sqlite3_column_int64(statement_, column);
}

bool SqlQuery::is_null(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

std::string_view SqlQuery::text(int column) const {
  const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  if (bytes == nullptr) return {};
  return {bytes, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

void SqlQuery::bind(int index, std::int64_t value) {
  if (statement_ != nullptr) sqlite3_bind_int64(statement_, index, value);
}

void SqlQuery::bind(int index, std::string_view value) {
  if (statement_ != nullptr) {
    sqlite3_bind_text64(statement_, index, value.data(), value.size(), SQLITE_STATIC, SQLITE_UTF8);
  }
}

Result<std::unique_ptr<SqlDb>> SqlDb::open(const SqlDbOptions& options) {
  sqlite3* connection = nullptr;
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  const int code = sqlite3_open_v2(options.file.c_str(), &connection, flags, nullptr);
  std::unique_ptr<SqlDb> db(new SqlDb(connection, options));  // closes what was opened half way, too
  if (code != SQLITE_OK) return sql_error(connection, code);
  sqlite3_extended_result_codes(connection, 1);
  sqlite3_busy_handler(connection, &SqlDb::on_busy, db.get());
  if (auto configured = db->configure(options); !configured) return fail(configured.error());
  if (auto made = db->make_schema(options); !made) return fail(made.error());
  // While our connection is open the WAL stays this file: only the last connection to close removes it.
  db->wal_ = Fd(::open((options.file.string() + "-wal").c_str(), O_RDWR | O_CLOEXEC));
  if (!db->wal_.ok()) {
    return fail(ErrorKind::transient, "queue_unavailable",
                "Cannot open the queue file's log: " + std::string(std::strerror(errno)) + ".");
  }
  return db;
}

SqlDb::SqlDb(sqlite3* connection, const SqlDbOptions& options)
    : connection_(connection),
      file_(options.file),
      sync_file_(options.sync_file ? options.sync_file : [](int fd) { return ::fdatasync(fd); }),
      lock_wait_(kOpenWait) {}

SqlDb::~SqlDb() {
  for (const auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  sqlite3_close(connection_);
}

// SQLite's own busy handler sleeps in steps of up to 100 ms; a transaction here takes well under one.
int SqlDb::on_busy(void* self, int attempt) {
  SqlDb& db = *static_cast<SqlDb*>(self);
  const MonoTime now = system_clock().mono_now();  // other processes are real: so is the time that they need
  if (attempt == 0) db.busy_since_ = now;
  if (now - db.busy_since_ >= db.lock_wait_) return 0;
  const timespec nap{0, std::min(2'000'000L, 50'000L << std::min(attempt, 8))};
  ::ppoll(nullptr, 0, &nap, nullptr);
  return 1;
}

sqlite3_stmt* SqlDb::prepared(const char* sql) {
  sqlite3_stmt*& statement = statements_[sql];
  if (statement == nullptr) sqlite3_prepare_v3(connection_, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  return statement;
}

Result<void> SqlDb::execute(const std::string& sql) {
  const int code = sqlite3_exec(connection_, sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return sql_error(connection_, code);
  return {};
}

Result<std::int64_t> SqlDb::number(const char* sql) {
  SqlQuery row = query(sql);
  if (auto found = row.step(); !found) return fail(found.error());
  return row.integer(0);
}

Result<void> SqlDb::configure(const SqlDbOptions& options) {
  const std::string pragmas =
      "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA temp_store=MEMORY; PRAGMA wal_autocheckpoint=" +
      std::string(kWalPages) + "; PRAGMA journal_size_limit=" + kWalBytesKept +
      "; PRAGMA max_page_count=" + std::to_string(static_cast<std::int64_t>(options.bytes_max) / kPageBytes);
  // Changing to WAL asks no busy handler; when processes make the file at the same time, one of them has to wait here.
  const MonoTime end = system_clock().mono_now() + kOpenWait;
  while (true) {
    const auto done = execute(pragmas);
    if (done || (sqlite3_errcode(connection_) & 0xFF) != SQLITE_BUSY || system_clock().mono_now() >= end) return done;
    ::poll(nullptr, 0, 1);
  }
}

Result<void> SqlDb::make_schema(const SqlDbOptions& options) {
  return transaction(kOpenWait, [&]() -> Result<void> {
    const auto version = number("PRAGMA user_version"), application = number("PRAGMA application_id");
    const auto tables = number("SELECT count(*) FROM sqlite_master");
    if (!version) return fail(version.error());
    if (!application) return fail(application.error());
    if (!tables) return fail(tables.error());
    if (*version == options.version && *application == options.application_id) return {};
    if (*application == options.application_id && *version > options.version) {
      return fail(ErrorKind::invalid, "queue_file_newer",
                  options.file.string() +
                      " was written by a newer version of imgrec, and is left as it is: install that version again.");
    }
    if (*version != 0 || *application != 0 || *tables != 0) {
      return fail(
          ErrorKind::invalid, "queue_file_damaged",
          options.file.string() + " is not a queue file of this version. Move it away to begin with empty queues.");
    }
    return execute(std::string(options.schema) + "; PRAGMA application_id=" + std::to_string(options.application_id) +
                   "; PRAGMA user_version=" + std::to_string(options.version));
  });
}

void SqlDb::roll_back() {
  // Some errors (a full disk) have rolled back already.
  if (sqlite3_get_autocommit(connection_) == 0) (void)execute("ROLLBACK");
}

Result<std::uint64_t> SqlDb::bytes_used() {
  const auto all = number("PRAGMA page_count");
  if (!all) return fail(all.error());
  const auto free = number("PRAGMA freelist_count");
  if (!free) return fail(free.error());
  return static_cast<std::uint64_t>((*all - *free) * kPageBytes);
}

std::int64_t SqlDb::rows_changed() const {
  return sqlite3_changes64(connection_);
}

Result<void> SqlDb::sync(const CallLimits& limits) {
  const std::uint64_t wanted = commits_;
  const std::stop_callback stopped(limits.stop, [&] {
    std::lock_guard lock(sync_mutex_);
    synced_changed_.notify_all();
  });
  std::unique_lock lock(sync_mutex_);
  const std::uint64_t failures = failures_;
  while (true) {
    const bool rewrite = log_is_bad_;
    if (failures_ != failures || (rewrite && !syncing_ && system_clock().mono_now() < rewrite_at_)) {
      return fail(ErrorKind::transient, "queue_unavailable",
                  "The queue file cannot be written to the disk: " + std::string(std::strerror(sync_error_)) +
                      ". Check the disk; the kernel's log tells more.");
    }
    if (synced_ >= wanted) return {};
    if (syncing_) {
      if (auto within = limits.check(system_clock()); !within) return within;
      synced_changed_.wait_until(lock, earlier(limits.deadline, Deadline::in(system_clock(), kOpenWait)).at);
      continue;
    }
    syncing_ = true;
    const std::uint64_t covered = commits_;
    lock.unlock();
    // The commits are in the WAL, or a checkpoint has synced them into the database before it reused the WAL.
    const int error = rewrite ? rewrite_log() : sync_file_(wal_.get()) == 0 ? 0 : errno;
    lock.lock();
    syncing_ = false;
    log_is_bad_ = error != 0;
    if (error == 0) {
      synced_ = covered;
    } else {
      ++failures_;
      sync_error_ = error;
      rewrite_at_ = system_clock().mono_now() + kRewritePause;
    }
    synced_changed_.notify_all();
  }
}

// Writes the log's bytes over themselves, so that the kernel writes them to the disk again, and waits for that. 0, or
// errno. Nothing is appended or begun anew meanwhile, by no process: a connection of its own holds the write lock.
int SqlDb::rewrite_log() {
  sqlite3* opened = nullptr;
  const int code = sqlite3_open_v2(file_.c_str(), &opened, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
  const std::unique_ptr<sqlite3, int (*)(sqlite3*)> connection(opened, sqlite3_close);
  if (code != SQLITE_OK) return EIO;
  sqlite3_busy_timeout(opened, static_cast<int>(kOpenWait.count()));
  if (sqlite3_exec(opened, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr) != SQLITE_OK) return EBUSY;
  std::string bytes(kRewriteBytes, 0);
  off_t at = 0;
  while (true) {
    const ssize_t got = ::pread(wal_.get(), bytes.data(), bytes.size(), at);
    if (got < 0) return errno;
    if (got == 0) break;
    const ssize_t written = ::pwrite(wal_.get(), bytes.data(), static_cast<std::size_t>(got), at);
    if (written < 0) return errno;
    if (written == 0) return EIO;
    at += written;
  }
  return sync_file_(wal_.get()) == 0 ? 0 : errno;  // closing the connection ends its transaction
}

}  // namespace imgrec
