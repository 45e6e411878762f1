// Writes down which jobs are whose, so that GET /v1/jobs can list them: after a restart too, and on every node. Jobs
// gather for a moment, so that a client's many images cost one call of the store. Nobody waits for it.
#pragma once

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "lib/base/backoff.hpp"
#include "lib/base/clock.hpp"
#include "lib/base/rng.hpp"
#include "lib/base/waker.hpp"
#include "lib/ports/object_store.hpp"
#include "lib/telemetry/metrics.hpp"
#include "roles/web/jobs/index_page.hpp"

namespace imgrec {

struct JobIndexOptions {
  Millis linger{200};                // jobs of one owner gather so long, or until they fill a page
  std::size_t waiting_max = 10'000;  // jobs in memory; more are not listed
  Millis put_timeout{10'000};
  Millis end_max{5'000};  // stop() writes what waits, but no longer than that
  BackoffOptions backoff{.base = Millis(500), .max = Millis(30'000)};
};

/// Thread-safe. Its threads run from the constructor to stop().
class JobIndex {
 public:
  struct Ports {
    ObjectStore& store;
    Clock& clock;
    Rng& rng;
    Metrics& metrics;
  };
  JobIndex(Ports ports, const JobIndexOptions& options);
  explicit JobIndex(Ports ports) : JobIndex(ports, {}) {}
  ~JobIndex();

  /// Never blocks. A job without an owner is not listed.
  void add(const OwnerId& owner, const JobId& job, std::string_view name);

  /// The owner's jobs that are not in the store yet, in no order.
  std::vector<IndexedJob> unwritten(const OwnerId& owner) const;

  /// Writes what waits.
  void stop();

 private:
  /// The owners that share a thread.
  class Lane;
  Lane& lane_of(const OwnerId& owner) const;

  std::array<std::unique_ptr<Lane>, 4> lanes_;
};

}  // namespace imgrec
