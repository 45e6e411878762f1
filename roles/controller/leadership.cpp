#include "roles/controller/leadership.hpp"

#include <algorithm>
#include <utility>

#include "lib/base/log.hpp"

namespace imgrec {
namespace {

constexpr int kRenewalsPerLease = 3;
constexpr int kMarginPart = 5;  // of the length: how much earlier the leader stops
constexpr int kCallsPart = 4;   // of the length: the longest that one look or one renewal takes
constexpr Millis kReleaseMax{3'000};
constexpr Millis kLookMin{250}, kLookMax{5'000};
constexpr Millis kRetry{1'000};
constexpr int kTriesMax = 3;  // of a swap that finds another version
constexpr std::size_t kNotedMax = 64;

bool is_of_other_fleet(const LeaderLease& lease, const std::string& fleet) {
  return !lease.fleet.empty() && !fleet.empty() && lease.fleet != fleet;
}

std::unexpected<Error> other_fleet(const LeaderLease& lease, const std::string& fleet) {
  return fail(
      ErrorKind::denied, "other_fleet",
      "The controller " + lease.holder + " of the fleet " + lease.fleet +
          " leads in this result bucket; this one is of the fleet " + fleet +
          ". Give each its own aws.output_bucket or aws.output_prefix; if it is one service, the same aws.fleet.");
}

}  // namespace

Leadership::Leadership(ObjectStore& store, Clock& clock, Rng& rng, Metrics& metrics, LeadershipOptions options)
    : store_(store),
      clock_(clock),
      rng_(rng),
      options_(std::move(options)),
      shown_leading_(std::make_shared<std::atomic<bool>>(false)),
      outage_("keeping the lease of the leading controller (status/leader in the result store)", clock) {
  metrics.gauge("imgrec_controller_leading", "1: this controller leads; 0: it stands by.",
                [leading = shown_leading_] { return leading->load() ? 1.0 : 0.0; });
}

CallLimits Leadership::call_limits(const std::stop_token& stop) const {
  return {Deadline::in(clock_, options_.length / kCallsPart), stop};
}

MonoTime Leadership::end_of_write(MonoTime begun) const {
  return begun + options_.length - options_.length / kMarginPart;
}

Result<std::optional<StoredObject>> Leadership::read(const CallLimits& limits) {
  auto object = store_.get(leader_lease_key(), kLeaderLeaseBytesMax, limits);
  if (object) return std::optional(*std::move(object));
  if (object.error().kind == ErrorKind::not_found) return std::nullopt;
  return fail(std::move(object.error()));
}

LeaderLease Leadership::document() const {
  LeaderLease lease{.epoch = epoch_,
                    .holder = options_.holder,
                    .fleet = options_.fleet,
                    .renewals = renewals_,
                    .length = options_.length,
                    .released = false,
                    .launches = inherited_,
                    .at = clock_.wall_now()};
  for (const Noted& one : noted_) lease.launches.push_back(one.launch);
  return lease;
}

void Leadership::drop_shown(MonoTime now) {
  std::erase_if(noted_, [&](const Noted& one) { return now >= one.until; });
  if (now >= inherited_until_) inherited_.clear();
}

// With mutex_ held.
void Leadership::lose(const std::optional<LeaderLease>& lease) {
  if (std::exchange(leading_, false)) {
    log::warning(lease ? "another controller leads now; this one stands by"
                       : "the lease of the leading controller was deleted; this one no longer leads",
                 {{"leader", lease ? lease->holder : ""}, {"epoch", lease ? lease->epoch : 0}});
  }
  *shown_leading_ = false;
  valid_until_ = MonoTime::min();
  noted_.clear();
  inherited_.clear();
}

bool Leadership::may_take(const StoredObject& object, const LeaderLease& lease) {
  if (lease.released || lease.holder == options_.holder || options_.is_gone(lease.holder)) return true;
  const MonoTime now = clock_.mono_now();
  if (!seen_ || seen_->version != object.version) seen_ = {.version = object.version, .since = now};
  return now - seen_->since >= lease.length;
}

Result<bool> Leadership::try_to_lead(const std::stop_token& stop) {
  std::lock_guard lock(mutex_);
  const CallLimits limits = call_limits(stop);
  const auto object = read(limits);
  if (!object) return fail(object.error());
  std::optional<LeaderLease> lease;
  if (*object) {
    const auto parsed = parse_leader_lease((*object)->bytes);
    if (!parsed) return fail(parsed.error());
    lease = *parsed;
    if (!may_take(**object, *lease)) {
      if (is_of_other_fleet(*lease, options_.fleet)) return other_fleet(*lease, options_.fleet);
      if (!std::exchange(standing_by_told_, true)) {
        log::info("another controller leads; this one stands by, and takes over when that one ends",
                  {{"leader", lease->holder}, {"epoch", lease->epoch}, {"lease_ms", lease->length.count()}});
      }
      return false;
    }
  }
  return take(*object, lease, limits);
}

// With mutex_ held.
Result<bool> Leadership::take(const std::optional<StoredObject>& object, const std::optional<LeaderLease>& lease,
                              const CallLimits& limits) {
  epoch_ = lease ? lease->epoch + 1 : 1;
  renewals_ = 1;
  noted_.clear();
  inherited_.clear();
  if (lease && options_.launches_kept > Millis(0)) inherited_ = lease->launches;
  inherited_until_ = clock_.mono_now() + options_.launches_kept;
  const std::string text = to_json(document());
  PutOptions put{.content_type = "application/json"};
  if (object) {
    put.if_match = object->version;
  } else {
    put.only_if_absent = true;
  }
  const MonoTime begun = clock_.mono_now();
  const auto done = store_.put(leader_lease_key(), text, put, limits);
  if (!done) return fail(done.error());
  if (*done != PutOutcome::stored) {
    // An attempt of ours may have stored it although its answer was lost.
    const auto now = read(limits);
    if (!now) return fail(now.error());
    if (!*now || (*now)->bytes != text) return false;
  }
  const char* why = !lease            ? "nobody led before"
                    : lease->released ? "the leader before has ended"
                                      : "the leader before has not renewed its lease";
  seen_.reset();
  leading_ = true;
  standing_by_told_ = false;
  *shown_leading_ = true;
  valid_until_ = end_of_write(begun);
  log::info("this controller leads",
            {{"epoch", epoch_}, {"why", why}, {"launches_to_repeat", inherited_.size()}, {"holder", options_.holder}});
  return true;
}

bool Leadership::wait_to_lead(const std::stop_token& stop) {
  const Millis pause = std::clamp(options_.length / 4, kLookMin, kLookMax);
  while (!stop.stop_requested()) {
    const auto leads = try_to_lead(stop);
    if (leads) {
      outage_.succeeded();
      if (*leads) return true;
    } else if (leads.error().kind != ErrorKind::cancelled) {
      outage_.failed(leads.error());
    }
    if (!clock_.sleep_for(pause, stop)) return false;
  }
  return false;
}

// With mutex_ held. Read first: the version is not told by a put, and after a lost answer only the object knows.
Result<Leadership::Write> Leadership::write(bool released, const CallLimits& limits) {
  for (int tries = 0; tries < kTriesMax; ++tries) {
    const auto object = read(limits);
    if (!object) return fail(object.error());
    if (!*object) {
      lose(std::nullopt);
      return Write::lost;
    }
    const auto there = parse_leader_lease((*object)->bytes);
    if (!there) return fail(there.error());
    if (there->holder != options_.holder || there->epoch != epoch_) {
      lose(*there);
      return Write::lost;
    }
    const MonoTime begun = clock_.mono_now();
    drop_shown(begun);
    renewals_ = std::max(renewals_, there->renewals) + 1;
    LeaderLease lease = document();
    lease.released = released;
    PutOptions put{.content_type = "application/json"};
    put.if_match = (*object)->version;
    const auto done = store_.put(leader_lease_key(), to_json(lease), put, limits);
    if (!done) return fail(done.error());
    if (*done != PutOutcome::stored) continue;
    valid_until_ = end_of_write(begun);
    return Write::stored;
  }
  return fail(ErrorKind::transient, "lease_contended", "The object status/leader changed at every attempt.");
}

Result<bool> Leadership::renew(const std::stop_token& stop) {
  std::lock_guard lock(mutex_);
  if (!leading_) return false;
  const auto written = write(false, call_limits(stop));
  if (!written) return fail(written.error());
  return *written == Write::stored;
}

void Leadership::keep_renewing(const std::function<void()>& on_lost, const std::stop_token& stop) {
  Millis pause = options_.length / kRenewalsPerLease;
  while (clock_.sleep_for(pause, stop)) {
    const auto renewed = renew(stop);
    pause = options_.length / kRenewalsPerLease;
    if (renewed) {
      outage_.succeeded();
      if (!*renewed) return on_lost();
    } else if (renewed.error().kind != ErrorKind::cancelled) {
      outage_.failed(renewed.error());
      pause = std::min(pause, kRetry);
    }
  }
}

void Leadership::release() {
  std::lock_guard lock(mutex_);
  if (!leading_) return;
  if (const auto written = write(true, Deadline::in(clock_, kReleaseMax)); !written) {
    log::warning("the lease could not be ended: another controller leads when its time is over",
                 {{"lease_ms", options_.length.count()}, {"error", describe(written.error())}});
  }
  leading_ = false;
  *shown_leading_ = false;
  valid_until_ = MonoTime::min();
}

// With mutex_ held.
Result<CallLimits> Leadership::check(const CallLimits& limits) const {
  if (!leading_) return fail(ErrorKind::cancelled, "not_leading", "Another controller leads.");
  if (clock_.mono_now() >= valid_until_) {
    return fail(ErrorKind::transient, "lease_not_renewed",
                "The controller's lease could not be renewed in time: until it is, nothing is launched or ended.");
  }
  return CallLimits{earlier(limits.deadline, Deadline{valid_until_}), limits.stop};
}

Result<CallLimits> Leadership::within_lease(const CallLimits& limits) const {
  std::lock_guard lock(mutex_);
  return check(limits);
}

LaunchToken Leadership::new_token() {
  std::lock_guard lock(mutex_);
  return LaunchToken(std::to_string(epoch_) + "-" + random_hex(rng_, 16));
}

Result<void> Leadership::note(const NotedLaunch& launch, const std::stop_token& stop) {
  std::lock_guard lock(mutex_);
  if (auto may = check({}); !may) return fail(may.error());
  std::erase_if(inherited_, [&](const NotedLaunch& one) { return one.token == launch.token; });
  std::erase_if(noted_, [&](const Noted& one) { return one.launch.token == launch.token; });
  if (noted_.size() >= kNotedMax) {
    return fail(ErrorKind::throttled, "too_many_launches",
                "Too many launches within the time in which the cloud may not show them: the next one waits.");
  }
  noted_.push_back({launch, clock_.mono_now() + options_.launches_kept});
  const auto written = write(false, call_limits(stop));
  if (!written) return fail(written.error());
  if (*written == Write::lost) return fail(ErrorKind::cancelled, "not_leading", "Another controller leads.");
  return {};
}

void Leadership::forget(const LaunchToken& token) {
  std::lock_guard lock(mutex_);
  std::erase_if(inherited_, [&](const NotedLaunch& one) { return one.token == token; });
  std::erase_if(noted_, [&](const Noted& one) { return one.launch.token == token; });
}

std::vector<NotedLaunch> Leadership::inherited() const {
  std::lock_guard lock(mutex_);
  return inherited_;
}

}  // namespace imgrec
