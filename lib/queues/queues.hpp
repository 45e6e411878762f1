// The roster of queues: every queue of the service in one table. Platforms, setup, doctor and the test of the IAM
// policies read it, so that a new queue is a new row and nothing else has to know.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/units.hpp"
#include "lib/config/config.hpp"

namespace imgrec {

enum class QueueKind {
  dead_letters,            // requests that could not be processed
  requests,                // images to classify
  responses,               // answers, one queue for each web node
  shutdown_requests,       // the controller asks workers to stop
  shutdown_confirmations,  // workers that have stopped and wait for their end
  signals,                 // what web nodes and workers tell the controller; there is none when queue.signals is empty
};

/// What a role does with a queue; bits of QueueUses. On AWS each is a group of rights.
enum QueueUse : unsigned {
  kSendsTo = 1U << 0U,
  kReceivesFrom = 1U << 1U,  // and extends, returns and removes what it received
  kWatches = 1U << 2U,       // reads the depth and how the queue is set up
  kMakes = 1U << 3U,         // creates it where it is not there
};

/// Of each role the QueueUse bits. deployer: the person who runs `imgrec setup` and `imgrec doctor`.
struct QueueUses {
  unsigned web = 0, worker = 0, controller = 0, deployer = 0;
};

/// Whose queue it is: who makes it when it is not there.
enum class QueueOwner {
  service,       // one for all; made by `imgrec setup`, or by the first role that may
  this_node,     // made by this web node at its start
  another_node,  // never made here
};

struct QueueRow {
  QueueKind kind = QueueKind::requests;
  std::string name;  // as QueueDirectory::open() takes it
  bool fifo = false;
  std::string dead_letter = {};  // name of the queue that gets what was delivered too often; empty: none
  int receives_max = 0;          // deliveries before that; 0 exactly where dead_letter is empty
  Millis visibility{30'000};     // of a message whose receiver asks for nothing else
  Seconds retention{4 * 24 * 3600};
  bool survives_power_cut = true;  // false: a message is sent without waiting for the disk
  QueueOwner owner = QueueOwner::service;
  QueueUses uses = {};
};

/// The queues of a process with this Config. A dead-letter queue comes before the queues that name it.
std::vector<QueueRow> queue_roster(const Config& config);

/// The row of the queue with that name, also of other nodes' response queues. Nothing: it is no queue of the service.
std::optional<QueueRow> find_queue(const Config& config, std::string_view name);

/// The name of this process's queue of that kind; empty: there is none.
std::string queue_name(const Config& config, QueueKind kind);

/// Whether a queue of that name is the response queue of some web node.
bool is_response_queue(const QueueConfig& queue, std::string_view name);

}  // namespace imgrec
