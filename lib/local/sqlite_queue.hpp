// Message queues in one SQLite file, shared by any number of processes; semantics as in lib/ports/message_queue.hpp.
//
// Durable   kill -9 of everything loses nothing. A power cut loses no message that send() accepted (it syncs the disk
//           before it returns, unless the queue's options say otherwise), but may undo the latest receive, extend and
//           remove calls: those messages are delivered again, which "at least once" allows.
//           After a write that the disk lost every send() fails until the log has been written again (tried at most
//           once a second), and none of those that waited for the lost write is told success.
// Clocks    setting the wall clock hides nothing for longer: what is counted in the file is monotonic time. After the
//           machine has started anew, what was in flight can be received at once.
// Locks     another process that keeps the file locked makes send(), receive(), extend() and remove() wait, within
// their
//           limits and at most a minute; depth() and polls of empty queues go on.
// Returns   a message that its holder returns (extend by 0) has that delivery not counted.
// Wakes     a long poll in any process ends within milliseconds of the send, and costs no CPU until then.
// Files     FILE, FILE-wal, FILE-shm (SQLite's) and FILE-wake, on a local disk: not on NFS.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "lib/base/clock.hpp"
#include "lib/base/environment.hpp"
#include "lib/base/rng.hpp"
#include "lib/ports/message_queue.hpp"

namespace imgrec {

struct SqliteQueueOptions {
  bool fifo = false;
  int receives_max = 0;     // maxReceiveCount; 0: no dead-letter queue
  std::string dead_letter;  // name of the dead-letter queue
  /// send() waits for the disk (0.1 to several ms). Without it kill -9 of everything still loses nothing: right for
  /// queues whose messages nobody needs after a power cut, such as answers to clients that were cut off by it.
  bool survives_power_cut = true;
};

struct SqliteQueueRules {
  /// The options of the queue with that name, when it is first opened; nothing: no such queue is made.
  std::function<std::optional<SqliteQueueOptions>(const std::string& name)> options_of;
  /// Limit of the file: beyond it sending is transient "disk_full" until messages are removed (their room is reused).
  std::uint64_t file_bytes_max = 8 * 1024 * kMiB;
  std::string boot_id = imgrec::boot_id();
  std::function<int(int fd)> sync_file{};  // like fdatasync(2), which it is when empty: tests make it fail
};

/// The queues of one file. Messages for a web node that never comes back, or dead letters, are received by nobody and
/// would stay for ever: SQS drops them after days, here somebody has to ask for it.
class SqliteQueues : public QueueDirectory {
 public:
  /// Removes messages of any queue that could have been received since before that moment and were not, `count_max` at
  /// most. Returns how many; fewer than count_max when there are no more.
  virtual Result<std::uint64_t> remove_unread(WallTime before, std::uint64_t count_max) = 0;
  /// The process is dead: what it had received, and neither removed nor returned, can be received at once rather than
  /// when its lease ends. The deliveries count. Returns how many messages that were.
  virtual Result<std::uint64_t> release_held_by(pid_t process, const CallLimits& limits) = 0;
};

/// Opens (and makes) the file; the folder has to exist. Errors: denied, transient "disk_full", invalid
/// "queue_file_damaged" or "queue_file_newer" (a later version of imgrec wrote it), transient "queue_unavailable". The
/// directory's open() adds: invalid "queue_type_differs" when the queue was made as the other of standard and FIFO.
/// Queue names are as on SQS, 1 to 80 of [A-Za-z0-9_.-].
Result<std::unique_ptr<SqliteQueues>> open_sqlite_queues(const std::filesystem::path& file, SqliteQueueRules rules,
                                                         Clock& clock, Rng& rng);

}  // namespace imgrec
