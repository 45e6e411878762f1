// Deletes what is older than the retention, so that a state folder does not grow for ever.
#pragma once

#include <functional>
#include <stop_token>
#include <string>

#include "lib/base/clock.hpp"
#include "lib/base/result.hpp"
#include "lib/ports/object_store.hpp"

namespace imgrec {

struct JanitorOptions {
  Seconds retention{0};        // 0: nothing is ever deleted
  std::string named_prefix{};  // of results laid out by name (results.prefix); empty: there are none
  Millis pause{100};           // between pages of objects or messages: deleting must not hold up the service
};

/// Removes messages that wait since before that moment, count_max at most; returns how many, which are fewer when no
/// more are left.
using RemoveUnread = std::function<Result<std::uint64_t>(WallTime before, std::uint64_t count_max)>;

/// One sweep over what belongs to jobs: images, results, attempts, lists of jobs and idempotency keys; and over what
/// keys have used, once it is 7 days old at least. Returns how many objects were deleted.
Result<std::uint64_t> sweep_old_objects(ObjectStore& store, const JanitorOptions& options, Clock& clock,
                                        std::stop_token stop);

/// One sweep over messages that nobody received for so long: dead letters, answers for a web node that never came back,
/// requests whose images are gone. Returns how many were removed.
Result<std::uint64_t> sweep_unread_messages(const RemoveUnread& remove_unread, const JanitorOptions& options,
                                            Clock& clock, std::stop_token stop);

/// Sweeps both until a stop is requested: at once, then every tenth of the retention, at least hourly. Errors are
/// logged.
void run_janitor(ObjectStore& store, const RemoveUnread& remove_unread, const JanitorOptions& options, Clock& clock,
                 std::stop_token stop);

}  // namespace imgrec
