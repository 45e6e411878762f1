// How long one decision of the controller takes with many instances: policy and reconcile. Prints a line for each
// policy.
//   decide_benchmark [INSTANCES]
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "lib/base/clock.hpp"
#include "lib/base/rng.hpp"
#include "roles/controller/policy/policy.hpp"
#include "roles/controller/reconcile.hpp"

namespace imgrec {
namespace {

constexpr int kRounds = 300;

// Busy, idle and booting ones, of which some have confirmed that they stopped; signals of all.
Observation observe(int instances, MonoTime now, WallTime wall) {
  SplitMix64 rng(1);
  Observation seen{.at = now, .wall = wall};
  seen.depth = {.visible = 20'000, .in_flight = static_cast<std::uint64_t>(instances)};
  seen.signals.arrivals_per_s = 4'000;
  seen.signals.arrivals_per_s_long = 4'000;
  seen.signals.image_seconds = 1.25;
  for (int i = 0; i < instances; ++i) {
    const bool boots = rng.next() % 10 == 0;
    seen.instances.push_back({.id = InstanceId("i-" + random_hex(rng, 8)),
                              .state = boots ? InstanceState::pending : InstanceState::running,
                              .app_tier_id = "app-tier-" + std::to_string(i + 1),
                              .launched_at = wall - Seconds(boots ? 20 : 600)});
    InstanceSignals& said = seen.signals.instances.emplace_back();
    if (boots) continue;
    said.ready_since = now - Seconds(500);
    said.busy_share = rng.next_unit();
    if (rng.next() % 3 == 0) said.idle_since = now - Seconds(10);
    if (rng.next() % 20 == 0) seen.drains.confirmed.push_back(seen.instances.back().id);
  }
  seen.drains.possible = true;
  return seen;
}

double median_ms(const NamedPolicy& policy, int instances) {
  const ScalingRules rules{.max = 2 * instances};
  PolicyState state;
  Observation seen = observe(instances, system_clock().mono_now(), system_clock().wall_now());
  std::vector<double> times;
  std::size_t acted = 0;
  for (int i = 0; i < kRounds; ++i) {
    seen.at += Seconds(5);
    seen.wall += Seconds(5);
    seen.depth.visible = i % 2 == 0 ? 20'000 : 0;  // launches, then too many are there
    const MonoTime begin = system_clock().mono_now();
    const Actions actions = reconcile(seen, policy.decide(seen, state, rules), rules);
    times.push_back(elapsed_ms(begin, system_clock().mono_now()));
    acted += actions.empty() ? 0 : 1;
  }
  std::ranges::sort(times);
  return acted > 0 ? times[times.size() / 2] : -1;
}

}  // namespace
}  // namespace imgrec

int main(int count, char** values) {
  const int instances = count > 1 ? std::atoi(values[1]) : 10'000;
  for (const imgrec::NamedPolicy& policy : imgrec::policies()) {
    std::printf("%s %.3f\n", policy.name, imgrec::median_ms(policy, instances));
  }
}
