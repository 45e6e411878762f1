#include "roles/worker/idle_end.hpp"

#include <algorithm>

#include "lib/base/log.hpp"
#include "lib/job/leader_lease.hpp"

namespace imgrec {
namespace {

constexpr Millis kEndDeadline{5'000};

}  // namespace

IdleEndOptions idle_end_options(const WorkerConfig& config) {
  const bool is_fleets = !config.app_tier_id.empty();
  const bool is_base = is_fleets && config.app_tier_id == config.base_app_tier;
  return {.exit_when_idle = is_base ? Seconds(0) : config.exit_when_idle,
          .orphan_timeout = is_fleets ? config.orphan_timeout : Seconds(0)};
}

IdleEnd::IdleEnd(ObjectStore& results, Clock& clock, const IdleEndOptions& options)
    : results_(results),
      clock_(clock),
      options_(options),
      outage_("reading whether a controller leads (status/leader in the result store)", clock),
      look_at_(clock.mono_now()) {}

Millis IdleEnd::wait_max() const {
  Millis wait = Millis::max();
  if (options_.exit_when_idle > Millis(0)) wait = options_.exit_when_idle;
  if (options_.orphan_timeout > Millis(0)) wait = std::min(wait, options_.orphan_timeout / kLooks);
  return wait;
}

bool IdleEnd::is_due(MonoTime::duration idle, const std::stop_token& stop) {
  if (options_.exit_when_idle > Millis(0) && idle >= options_.exit_when_idle) {
    log::info("worker ends: idle", {{"idle_ms", std::chrono::floor<Millis>(idle).count()}});
    return true;
  }
  if (!is_orphan(idle, stop)) return false;
  log::warning("worker ends: there was no work, and no controller led",
               {{"idle_ms", std::chrono::floor<Millis>(idle).count()}});
  return true;
}

bool IdleEnd::is_orphan(MonoTime::duration idle, const std::stop_token& stop) {
  const MonoTime now = clock_.mono_now();
  const Millis timeout = options_.orphan_timeout;
  if (timeout <= Millis(0) || idle < timeout / kLooks || now < look_at_) return false;
  look_at_ = now + timeout / kLooks;
  const auto lease = results_.get(leader_lease_key(), kLeaderLeaseBytesMax, {Deadline::in(clock_, kEndDeadline), stop});
  if (!lease && lease.error().kind != ErrorKind::not_found) {
    if (lease.error().kind != ErrorKind::cancelled) outage_.failed(lease.error());
    version_.reset();  // what happened meanwhile is not known
    return false;
  }
  outage_.succeeded();
  const std::string version = lease ? lease->version : std::string();
  if (version_ != version) {
    version_ = version;
    unchanged_since_ = now;
    return false;
  }
  return idle >= timeout && now - unchanged_since_ >= timeout;
}

}  // namespace imgrec
