// How many images a key may still send: its rate and its daily quota, over all web nodes.
//
// The count of a key is an object of the result store, "access/use/ID.json". A node takes a lease from it by
// compare-and-swap: what it needs now and what it will need within half a second, so that a busy key costs a node two
// swaps a second, and a quiet one a swap for each request. A lease ends after a second; what is left of it is given
// back with the next one. The sum of all leases never exceeds the rate and the quota. What one node holds and does not
// use is all that another may miss: half a second's images, and a fiftieth of what is left of the quota. Beside that
// each node counts for itself, so that a leftover lease adds nothing to what its bucket allows: with one node the rate
// is exact.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "lib/base/clock.hpp"
#include "lib/ports/object_store.hpp"
#include "roles/web/access/keys.hpp"
#include "roles/web/access/token_bucket.hpp"

namespace imgrec {

/// What is left of a key's limits, as far as this node knows; for the headers of an answer.
struct AllowanceLeft {
  double per_second = 0;      // 0: no limit, and the next two mean nothing
  double images = 0;          // at once
  std::uint64_t per_day = 0;  // 0: no limit, and the next two mean nothing
  std::uint64_t images_today = 0;
  Seconds day_left{0};
};

struct Refused {
  enum class Limit { rate, quota } limit = Limit::rate;
  Millis retry_after{0};  // more than 0
};

/// The documents in the store, as nodes swap them. For Allowances and tests.
struct UseDocument {
  double tokens = 0;         // of the rate's bucket at `at_ms`
  std::int64_t at_ms = 0;    // of the wall clock
  std::int64_t day = 0;      // days since 1970 (UTC)
  std::uint64_t images = 0;  // leased on that day
};
std::string to_json(const UseDocument& use);
/// Nothing when it is damaged: then a key's count begins anew.
Result<std::optional<UseDocument>> parse_use(std::string_view json);

/// Thread-safe.
class Allowances {
 public:
  Allowances(ObjectStore& store, Clock& clock) : store_(store), clock_(clock) {}

  struct Answer {
    std::optional<Refused> refused;  // nothing: they are taken
    AllowanceLeft left;
  };
  /// Takes so many images (more than 0) of a limited key. Blocks for a swap when the lease is used up. Errors: as of
  /// the store; transient "busy" when others swap all the time.
  Result<Answer> take(const AccessKey& key, std::uint64_t images, const CallLimits& limits);

  /// Why one image would be refused now, as far as is known without asking the store. Never blocks.
  std::optional<Refused> known_refusal(const AccessKey& key) const;

  /// Forgets what is known of other keys than these (sorted).
  void keep(const std::vector<std::string>& ids);

 private:
  struct Key;
  struct Swap;
  std::shared_ptr<Key> state_of(const AccessKey& key);
  Result<std::optional<Refused>> lease(Key& state, const AccessKey& key, std::uint64_t images,
                                       const CallLimits& limits);
  Result<Swap> swap(const Key& state, const AccessKey& key, std::uint64_t images, const CallLimits& limits);
  AllowanceLeft left(const Key& state, const AccessKey& key) const;

  ObjectStore& store_;
  Clock& clock_;
  mutable std::mutex mutex_;
  std::unordered_map<std::string, std::shared_ptr<Key>> keys_;
};

}  // namespace imgrec
