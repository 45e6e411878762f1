#include "aws/adapters/asg_fleet.hpp"

#include <algorithm>
#include <map>
#include <mutex>
#include <set>

#include "aws/adapters/asg_api.hpp"
#include "aws/adapters/ec2_api.hpp"
#include "lib/base/log.hpp"

namespace imgrec::aws {
namespace {

constexpr std::size_t kLaunchesRemembered = 100;
constexpr int kGroupSizeMax = 1000;
constexpr Millis kGroupLookAgain{1'000};
constexpr Millis kEndedKept{300'000};  // told to end, and perhaps shown as in service still

// https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-lifecycle.html
InstanceState state_in_group(const std::string& lifecycle) {
  if (lifecycle.starts_with("Pending")) return InstanceState::pending;
  if (lifecycle == "InService") return InstanceState::running;
  return InstanceState::stopping;
}

bool has_left(const std::string& lifecycle) {
  return lifecycle == "Terminated" || lifecycle == "Detached";
}

class AsgFleet final : public Fleet {
 public:
  AsgFleet(Session& session, AsgFleetOptions options)
      : session_(session),
        options_(std::move(options)),
        groups_(session, options_.call_deadline),
        instances_(session, options_.call_deadline) {}

  Result<std::vector<Instance>> describe(const CallLimits& limits) override {
    std::lock_guard lock(mutex_);
    auto seen = look(limits);
    if (!seen) return fail(seen.error());
    return std::move(seen->instances);
  }

  Result<std::vector<Instance>> launch(const LaunchRequest& request, const CallLimits& limits) override;
  Result<void> terminate(std::span<const InstanceId> ids, const CallLimits& limits) override;

 private:
  struct Seen {
    AsgGroup group;
    std::vector<Instance> instances;  // oldest first; those that are yet to be launched last
    int active = 0;                   // of the group, neither ending nor told to end
  };
  struct Launched {
    LaunchToken token;
    int desired = 0;
    std::vector<InstanceId> before;     // what was there
    std::vector<InstanceId> instances;  // what it brought
  };

  std::string pending_id(int number) const { return options_.group + "/pending-" + std::to_string(number); }
  Result<Seen> look(const CallLimits& limits);
  struct Origin {
    WallTime launched_at{};
    std::string image = {};
  };
  Result<std::map<InstanceId, Origin>> origins(const CallLimits& limits);
  Result<std::vector<Instance>> wait_for(Launched& launched, int count, const CallLimits& limits);
  static std::vector<Instance> as_now(const std::vector<InstanceId>& ids, const std::vector<Instance>& now);

  Session& session_;
  const AsgFleetOptions options_;
  AsgApi groups_;
  Ec2Api instances_;
  std::mutex mutex_;  // one call at a time: sizes are read and then set
  std::map<InstanceId, MonoTime> ended_;
  std::map<InstanceId, Origin> origins_;  // of those that are there
  WallTime pending_since_{};              // the oldest of those that are yet to be launched
  int pending_ = 0;
  std::vector<Launched> launches_;  // the latest
  bool unprotected_told_ = false;
};

Result<std::map<InstanceId, AsgFleet::Origin>> AsgFleet::origins(const CallLimits& limits) {
  const auto seen = instances_.describe({{"tag:aws:autoscaling:groupName", {options_.group}}}, limits);
  if (!seen) return fail(seen.error());
  std::map<InstanceId, Origin> out;
  for (const Ec2Instance& one : *seen) out.emplace(one.id, Origin{.launched_at = one.launched_at, .image = one.image});
  return out;
}

// With mutex_ held.
Result<AsgFleet::Seen> AsgFleet::look(const CallLimits& limits) {
  auto group = groups_.describe(options_.group, limits);
  if (!group) return fail(group.error());
  if (!group->protects_new && !std::exchange(unprotected_told_, true)) {
    log::warning(
        "the Auto Scaling group does not protect new instances from scale-in: it may end busy ones. Set "
        "--new-instances-protected-from-scale-in",
        {{"group", options_.group}});
  }
  std::erase_if(group->instances, [](const AsgInstance& one) { return has_left(one.lifecycle); });
  const bool knows_all =
      std::ranges::all_of(group->instances, [&](const AsgInstance& one) { return origins_.contains(one.id); });
  if (!knows_all) {
    auto found = origins(limits);
    if (!found) return fail(found.error());
    origins_ = *std::move(found);
  }
  const MonoTime now = session_.clock().mono_now();
  const WallTime wall = session_.clock().wall_now();
  std::erase_if(ended_, [&](const auto& one) { return now - one.second >= kEndedKept; });
  Seen seen{.group = *std::move(group), .instances = {}};
  for (const AsgInstance& one : seen.group.instances) {
    InstanceState state = state_in_group(one.lifecycle);
    if (ended_.contains(one.id)) state = InstanceState::stopping;
    seen.active += state != InstanceState::stopping;
    const Origin& origin = origins_.try_emplace(one.id, Origin{.launched_at = wall}).first->second;
    seen.instances.push_back({.id = one.id,
                              .state = state,
                              .app_tier_id = one.id.str(),
                              .type = one.type,
                              .launched_at = origin.launched_at,
                              .image = origin.image});
  }
  std::ranges::sort(seen.instances, {}, [](const Instance& one) { return std::tie(one.launched_at, one.id); });
  const int pending = std::max(0, seen.group.desired - seen.active);
  if (pending > 0 && pending_ == 0) pending_since_ = wall;
  pending_ = pending;
  for (int i = 1; i <= pending; ++i) {
    seen.instances.push_back({.id = InstanceId(pending_id(i)),
                              .state = InstanceState::pending,
                              .app_tier_id = pending_id(i),
                              .launched_at = pending_since_});
  }
  return seen;
}

std::vector<Instance> AsgFleet::as_now(const std::vector<InstanceId>& ids, const std::vector<Instance>& now) {
  std::vector<Instance> out;
  for (const InstanceId& id : ids) {
    const auto found = std::ranges::find(now, id, &Instance::id);
    out.push_back(found != now.end() ? *found
                                     : Instance{.id = id, .state = InstanceState::stopping, .app_tier_id = id.str()});
  }
  return out;
}

Result<std::vector<Instance>> AsgFleet::launch(const LaunchRequest& request, const CallLimits& limits) {
  if (request.count < 1 || request.token.empty()) {
    return fail(ErrorKind::invalid, "bad_launch", "A launch has a count of 1 or more, and a token.");
  }
  std::lock_guard lock(mutex_);
  const auto seen = look(limits);
  if (!seen) return fail(seen.error());
  auto launched = std::ranges::find(launches_, request.token, &Launched::token);
  if (launched != launches_.end() && !launched->instances.empty()) return as_now(launched->instances, seen->instances);
  if (launched == launches_.end()) {
    // What is ending takes its place still: a fleet never holds more than its maximum.
    const int ending = static_cast<int>(std::ranges::count(seen->instances, InstanceState::stopping, &Instance::state));
    const int from = std::max(seen->group.desired, seen->active);
    const int most = std::min(options_.instances_max - ending, seen->group.max);
    if (from >= most) {
      return fail(ErrorKind::throttled, "fleet_full",
                  "All " + std::to_string(options_.instances_max) + " instances that are allowed are there" +
                      (seen->group.max < options_.instances_max
                           ? "; the Auto Scaling group's own maximum is " + std::to_string(seen->group.max) + "."
                           : "."));
    }
    Launched one{
        .token = request.token, .desired = std::min(most, from + request.count), .before = {}, .instances = {}};
    for (const AsgInstance& there : seen->group.instances) one.before.push_back(there.id);
    if (launches_.size() >= kLaunchesRemembered) launches_.erase(launches_.begin());
    launches_.push_back(std::move(one));
    launched = launches_.end() - 1;
  }
  const int count = launched->desired - std::max(seen->group.desired, seen->active);
  if (launched->desired > seen->group.desired) {
    if (auto set = groups_.set_desired(options_.group, launched->desired, limits); !set) {
      const Error& error = set.error();
      if (!is_retryable(error.kind)) launches_.erase(launched);
      return fail(error);
    }
  }
  return wait_for(*launched, count, limits);
}

// With mutex_ held. What does not appear in time is described as pending; it is none of the answer.
Result<std::vector<Instance>> AsgFleet::wait_for(Launched& launched, int count, const CallLimits& limits) {
  const CallLimits within = limits.at_most(session_.clock(), options_.appear_max);
  std::vector<Instance> started;
  while (true) {
    const auto seen = look(limits);
    if (!seen) return fail(seen.error());
    started.clear();
    for (const Instance& one : seen->instances) {
      if (one.id.str().starts_with(options_.group + "/")) continue;
      if (std::ranges::find(launched.before, one.id) == launched.before.end()) started.push_back(one);
    }
    if (static_cast<int>(started.size()) >= count) break;
    if (within.deadline.left(session_.clock()) < kGroupLookAgain) break;
    if (!session_.clock().sleep_for(kGroupLookAgain, within.stop)) break;
  }
  for (const Instance& one : started) launched.instances.push_back(one.id);
  return started;
}

Result<void> AsgFleet::terminate(std::span<const InstanceId> ids, const CallLimits& limits) {
  if (auto within = limits.check(session_.clock()); !within) return fail(within.error());
  if (ids.empty()) return {};
  std::lock_guard lock(mutex_);
  auto seen = look(limits);
  if (!seen) return fail(seen.error());
  int desired = seen->group.desired, active = seen->active;
  const auto yet_to_come =
      std::ranges::count_if(ids, [&](const InstanceId& id) { return id.str().starts_with(options_.group + "/"); });
  if (yet_to_come > 0) {
    const int lower = std::max({seen->group.min, active, desired - static_cast<int>(yet_to_come)});
    if (lower < desired) {
      if (auto set = groups_.set_desired(options_.group, lower, limits); !set) return fail(set.error());
      desired = lower;
    }
  }
  for (const InstanceId& id : ids) {
    const auto found = std::ranges::find(seen->group.instances, id, &AsgInstance::id);
    if (found == seen->group.instances.end() || state_in_group(found->lifecycle) == InstanceState::stopping) continue;
    // More may be there than the group was told, as it ends no protected instance: then its number stays. One that was
    // told before has lowered it, unless that was lost.
    const bool is_counted = !ended_.contains(id);
    const bool decrement = is_counted ? active <= desired : active < desired;
    const auto ended = groups_.terminate(id, decrement, limits);
    if (!ended) return fail(ended.error());
    if (is_counted) --active;
    if (decrement && *ended) --desired;
    ended_[id] = session_.clock().mono_now();
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Fleet>> make_asg_fleet(Session& session, AsgFleetOptions options) {
  if (options.group.empty()) {
    return fail(ErrorKind::invalid, "bad_fleet",
                "No Auto Scaling group is named: set aws.auto_scaling_group, or aws.fleet_kind = \"ec2\".");
  }
  if (options.instances_max < 1 || options.instances_max > kGroupSizeMax) {
    return fail(ErrorKind::invalid, "bad_fleet", "A fleet has at most 1 to 1000 instances.");
  }
  return std::make_unique<AsgFleet>(session, std::move(options));
}

}  // namespace imgrec::aws
