#include "roles/controller/start_failures.hpp"

#include <algorithm>

namespace imgrec {
namespace {

constexpr int kDoublingsMax = 20;  // a pause is cut at its maximum long before

}  // namespace

void StartFailures::launched(std::span<const Instance> instances) {
  for (const Instance& instance : instances) {
    if (std::ranges::find(watched_, instance.id, &Watched::id) == watched_.end()) {
      watched_.push_back({.id = instance.id, .app_tier_id = instance.app_tier_id, .launched_at = instance.launched_at});
    }
  }
}

void StartFailures::told_to_end(std::span<const InstanceId> ids) {
  std::erase_if(watched_, [&](const Watched& one) { return std::ranges::find(ids, one.id) != ids.end(); });
}

void StartFailures::observe(std::span<const Instance> instances, MonoTime now, const Signals& signals) {
  const auto was_ready = [&](const Watched& one) {
    return std::ranges::any_of(signals.ready_lately, [&](const ReadyWorker& ready) {
      return ready.app_tier_id == one.app_tier_id && ready.at >= one.launched_at;
    });
  };
  bool failed = false, started = false;
  std::erase_if(watched_, [&](Watched& one) {
    const auto seen = std::ranges::find(instances, one.id, &Instance::id);
    if (seen == instances.end() || seen->state == InstanceState::stopping) {
      (was_ready(one) ? started : failed) = true;
      return true;
    }
    const auto index = static_cast<std::size_t>(seen - instances.begin());
    if (index < signals.instances.size() && signals.instances[index].ready_since) {
      started = true;
      return true;
    }
    if (seen->state != InstanceState::running) return false;
    if (!one.running_since) one.running_since = now;
    if (now - *one.running_since < rules_.started_after) return false;
    started = true;
    return true;
  });
  if (started) {
    in_a_row_ = 0;
    launch_again_at_ = MonoTime::min();
  } else if (failed) {
    ++in_a_row_;
    if (in_a_row_ > 1) {
      const int doublings = std::min(in_a_row_ - 2, kDoublingsMax);
      launch_again_at_ = now + std::min(rules_.pause_max, rules_.pause_min * (1 << doublings));
    }
  }
  if (failed) ++total_;
}

Millis StartFailures::pause_left(MonoTime now) const {
  if (now >= launch_again_at_) return Millis(0);
  return std::chrono::ceil<Millis>(launch_again_at_ - now);
}

}  // namespace imgrec
