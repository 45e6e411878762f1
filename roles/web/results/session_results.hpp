// The latest results of each client session, in memory: GET /results. The store has all of them.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "lib/job/job.hpp"

namespace imgrec {

/// One result as it is listed.
struct SessionResult {
  std::uint64_t number = 0;  // grows with each result of any session: the cursor of a page
  std::uint64_t serial = 0;  // 1, 2, … within its session
  std::string name;
  std::string label;     // the best label, or "error: CODE"
  std::string document;  // JSON
};

struct SessionResultsLimits {
  std::size_t results_max = 5'000;  // of all sessions together
  std::uint64_t bytes_max = 64 * kMiB;
  std::uint64_t session_bytes_max = 16 * kMiB;
};

/// Thread-safe; never blocks for long. When a limit is reached, the oldest results go first.
class SessionResults {
 public:
  using Entry = std::shared_ptr<const SessionResult>;

  explicit SessionResults(const SessionResultsLimits& limits) : limits_(limits) {}

  /// A job known already is left as it is.
  void record(const JobResult& result);

  struct Page {
    std::vector<Entry> results;  // oldest first
    std::uint64_t next = 0;      // pass it as `after` for the next page; 0: this is the last
    std::uint64_t count = 0;     // of the session's results, those included that have gone for a limit
  };
  /// The session's results with greater numbers than `after`, until there are results_max of them or they have
  /// bytes_max bytes; at least one when there is one.
  Page page(const SessionId& session, std::uint64_t after, std::size_t results_max, std::uint64_t bytes_max) const;

  /// The numbers, ascending, of the session's results after `after` that are the latest of their names.
  std::vector<std::uint64_t> latest_of_names(const SessionId& session, std::uint64_t after) const;

  void forget(const SessionId& session);

  std::uint64_t bytes() const;

 private:
  struct Session {
    std::deque<Entry> results;
    std::uint64_t count = 0;  // the latest serial number
    std::uint64_t bytes = 0;
  };
  using Sessions = std::unordered_map<SessionId, Session>;
  void drop_oldest_of(Sessions::iterator session);
  void drop_oldest();

  const SessionResultsLimits limits_;
  mutable std::mutex mutex_;
  Sessions sessions_;  // none is empty
  struct Recorded {
    std::uint64_t number;
    SessionId session;
    JobId job;
  };
  std::deque<Recorded> order_;  // oldest first; also those that their session dropped meanwhile
  std::unordered_set<JobId> known_;
  std::uint64_t bytes_ = 0, last_number_ = 0;
};

}  // namespace imgrec
