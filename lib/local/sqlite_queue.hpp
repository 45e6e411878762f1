// Message queues in one SQLite file, shared by any number of processes; semantics as in lib/ports/message_queue.hpp.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "lib/base/clock.hpp"
#include "lib/base/rng.hpp"
#include "lib/ports/message_queue.hpp"

namespace imgrec {

struct SqliteQueueOptions {
  bool fifo = false;
  int receives_max = 0;               // maxReceiveCount; 0: no dead-letter queue
  std::string dead_letter;            // name of the dead-letter queue
};

struct SqliteQueueRules {
  /// The options of the queue with that name, when it is first opened; nothing: no such queue is made.
  std::function<std::optional<SqliteQueueOptions>(const std::string& name)> options_of;
};

/// Opens (and makes) the file; the folder has to exist. Errors: denied, transient "disk_full", invalid
/// "queue_file_damaged", transient "queue_unavailable".
Result<std::unique_ptr<QueueDirectory>> open_sqlite_queues(const std::filesystem::path& file, SqliteQueueRules rules,
                                                           Clock& clock, Rng& rng);

}  // namespace imgrec
