#include "tests/support/fake_fleet.hpp"

#include <algorithm>
#include <string>

namespace imgrec::test {

// Moves every member to the state it has at this time.
void FakeFleet::update() {
  const MonoTime now = clock_.mono_now();
  std::erase_if(members_, [&](const Member& member) { return member.gone_at <= now; });
  for (Member& member : members_) {
    if (member.instance.state == InstanceState::pending && member.running_at <= now) {
      member.instance.state = InstanceState::running;
    }
  }
}

std::vector<Instance> FakeFleet::instances() const {
  std::vector<Instance> instances;
  for (const Member& member : members_) instances.push_back(member.instance);
  return instances;
}

Result<std::vector<Instance>> FakeFleet::describe(const CallLimits& limits) {
  if (auto error = faults.enter(FleetCall::describe, clock_, limits)) return fail(*std::move(error));
  if (auto within = limits.check(clock_); !within) return fail(within.error());
  std::lock_guard lock(mutex_);
  update();
  return instances();
}

Result<std::vector<Instance>> FakeFleet::launch(const LaunchRequest& request, const CallLimits& limits) {
  if (auto error = faults.enter(FleetCall::launch, clock_, limits)) return fail(*std::move(error));
  if (auto within = limits.check(clock_); !within) return fail(within.error());
  if (request.count < 1 || request.token.empty()) {
    return fail(ErrorKind::invalid, "bad_launch", "A launch has a count of 1 or more, and a token.");
  }
  std::lock_guard lock(mutex_);
  update();
  tokens_.push_back(request.token);
  if (!launches_.contains(request.token)) {
    const int free = options_.instances_max - static_cast<int>(members_.size());
    if (free <= 0) return fail(ErrorKind::throttled, "fleet_full", "The fleet has as many instances as it may have.");
    std::vector<Instance>& started = launches_[request.token];
    for (int i = 0; i < std::min(free, request.count); ++i) {
      int number = 1;
      const auto taken = [&](const Member& member) {
        return member.instance.app_tier_id == "app-tier-" + std::to_string(number);
      };
      while (std::ranges::any_of(members_, taken)) ++number;
      Member member;
      member.instance = {.id = InstanceId("instance-" + std::to_string(++launched_)),
                         .state = InstanceState::pending,
                         .app_tier_id = "app-tier-" + std::to_string(number),
                         .launched_at = clock_.wall_now()};
      member.running_at = clock_.mono_now() + options_.boot;
      members_.push_back(member);
      started.push_back(member.instance);
    }
  }
  if (auto error = faults.leave(FleetCall::launch)) return fail(*std::move(error));
  return launches_[request.token];
}

Result<void> FakeFleet::terminate(std::span<const InstanceId> ids, const CallLimits& limits) {
  if (auto error = faults.enter(FleetCall::terminate, clock_, limits)) return fail(*std::move(error));
  if (auto within = limits.check(clock_); !within) return fail(within.error());
  std::lock_guard lock(mutex_);
  update();
  for (Member& member : members_) {
    if (std::ranges::find(ids, member.instance.id) == ids.end() || member.instance.state == InstanceState::stopping)
      continue;
    member.instance.state = InstanceState::stopping;
    member.gone_at = clock_.mono_now() + options_.stop;
  }
  update();
  if (auto error = faults.leave(FleetCall::terminate)) return fail(*std::move(error));
  return {};
}

void FakeFleet::kill(const InstanceId& id) {
  std::lock_guard lock(mutex_);
  std::erase_if(members_, [&](const Member& member) { return member.instance.id == id; });
}

int FakeFleet::launched() const {
  std::lock_guard lock(mutex_);
  return launched_;
}

std::vector<LaunchToken> FakeFleet::tokens() const {
  std::lock_guard lock(mutex_);
  return tokens_;
}

}  // namespace imgrec::test
