// Of several controllers one leads, the others stand by: a lease in the object store (lib/job/leader_lease.hpp).
//
// The leader renews its lease three times in its length. It trusts it for four fifths of the length,
// counted from before it was written; whoever stands by counts from when it saw it unchanged. So two never act at the
// same time, as long as their clocks run equally fast; nobody's time of day matters. The epoch, which grows with each
// change of leader, is part of every launch's token, and each call that changes the fleet ends before the lease does.
//
// A cloud may show a launch late, and its answer may be lost with the leader. So launches are noted in the lease before
// they are made, for as long as the cloud may not show them; the successor repeats them instead of launching anew.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "lib/base/clock.hpp"
#include "lib/base/outage_log.hpp"
#include "lib/base/rng.hpp"
#include "lib/job/leader_lease.hpp"
#include "lib/ports/object_store.hpp"
#include "lib/telemetry/metrics.hpp"

namespace imgrec {

struct LeadershipOptions {
  Millis length{20'000};
  std::string holder;      // names this process, and no other one ever
  std::string fleet = {};  // as LeaderLease::fleet; empty: that of any lease
  /// Returns true when the process of that name has ended for sure: then its lease is taken over at once. Where nobody
  /// can know, false.
  std::function<bool(const std::string& holder)> is_gone = [](const std::string&) { return false; };
  Millis launches_kept{0};  // Fleet::shown_within()
};

/// Thread-safe. A look or a renewal takes a quarter of the length at most.
class Leadership {
 public:
  Leadership(ObjectStore& store, Clock& clock, Rng& rng, Metrics& metrics, LeadershipOptions options);

  /// One look: takes the lease when it is there to be taken. Returns whether this process leads now. Errors: the
  /// store's; invalid "bad_leader_lease"; denied "other_fleet" while a controller of another fleet holds it.
  Result<bool> try_to_lead(const std::stop_token& stop);

  /// Looks until this process leads (true) or a stop is requested (false).
  bool wait_to_lead(const std::stop_token& stop);

  /// Returns false when another one leads now. Errors: the store's; then the lease goes on until it ends.
  Result<bool> renew(const std::stop_token& stop);

  /// Renews until a stop is requested, or another one leads: then it calls on_lost. For a thread of its own.
  void keep_renewing(const std::function<void()>& on_lost, const std::stop_token& stop);

  /// Ends the lease, so that another one leads at once. What fails is logged: the lease then ends by its length.
  void release();

  /// The same limits, ending before the lease does: for a call that changes the fleet. Errors: cancelled "not_leading";
  /// transient "lease_not_renewed" when the store could not be reached in time.
  Result<CallLimits> within_lease(const CallLimits& limits) const;

  /// Of this epoch.
  LaunchToken new_token();

  /// Notes a launch, or what changed in its plan, before it is made. Errors: as of within_lease(), and the store's.
  Result<void> note(const NotedLaunch& launch, const std::stop_token& stop);
  /// It launched nothing: no successor needs to repeat it.
  void forget(const LaunchToken& token);

  /// What earlier leaders noted, and this process found when it took the lease over.
  std::vector<NotedLaunch> inherited() const;

 private:
  struct Noted {
    NotedLaunch launch;
    MonoTime until{};
  };
  struct Seen {  // the lease of another one
    std::string version;
    MonoTime since{};
  };
  enum class Write { stored, lost };

  CallLimits call_limits(const std::stop_token& stop) const;
  LeaderLease document() const;
  Result<Write> write(bool released, const CallLimits& limits);
  Result<bool> take(const std::optional<StoredObject>& object, const std::optional<LeaderLease>& lease,
                    const CallLimits& limits);
  bool may_take(const StoredObject& object, const LeaderLease& lease);
  Result<CallLimits> check(const CallLimits& limits) const;
  Result<std::optional<StoredObject>> read(const CallLimits& limits);
  void drop_shown(MonoTime now);
  void lose(const std::optional<LeaderLease>& lease);
  MonoTime end_of_write(MonoTime begun) const;

  ObjectStore& store_;
  Clock& clock_;
  Rng& rng_;
  const LeadershipOptions options_;
  std::shared_ptr<std::atomic<bool>> shown_leading_;  // shared with the gauge, which outlives this
  OutageLog outage_;

  mutable std::mutex mutex_;
  bool leading_ = false;
  bool standing_by_told_ = false;
  std::uint64_t epoch_ = 0, renewals_ = 0;
  MonoTime valid_until_ = MonoTime::min();
  std::vector<Noted> noted_;
  std::vector<NotedLaunch> inherited_;
  MonoTime inherited_until_ = MonoTime::min();
  std::optional<Seen> seen_;
};

}  // namespace imgrec
