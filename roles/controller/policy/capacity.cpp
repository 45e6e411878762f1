#include "roles/controller/policy/capacity.hpp"

#include <algorithm>
#include <cmath>

namespace imgrec {
namespace {

constexpr double kStuckFactor = 3;  // boots that took three times as long as nine of ten are given up
constexpr Seconds kSeenKept{3'600};
constexpr double kFallMin = 10;  // messages by which the backlog fell, before its speed says something

// An overdue machine is expected soon, but not at once.
double boot_left(double age_s, double boot_s) {
  return std::max(boot_s - age_s, boot_s / 10);
}

}  // namespace

Capacity find_capacity(const Observation& observation, const ScalingRules& rules, double messages) {
  const Signals& signals = observation.signals;
  const double boot_s = to_s(signals.boot_mean.value_or(rules.assumed_boot));
  const double boot_high_s = std::max(boot_s, to_s(signals.boot_high.value_or(rules.assumed_boot)));
  const bool heard = !signals.instances.empty();
  Capacity capacity;
  const auto gone = ids_that_end(observation);
  double busy = 0;
  int asked = observation.drains.requested;  // requests to stop that an idle one will take
  for (std::size_t i = 0; i < observation.instances.size(); ++i) {
    const Instance& instance = observation.instances[i];
    if (instance.state == InstanceState::stopping) continue;
    if (gone.contains(instance.id.str())) continue;
    const double age_s = std::max(0.0, to_s(observation.wall - instance.launched_at));
    if (age_s < to_s(rules.billed_min)) ++capacity.billed_anyway;
    const InstanceSignals* said = heard && i < signals.instances.size() ? &signals.instances[i] : nullptr;
    if (said != nullptr && said->leaving) {
      --asked;
      continue;
    }
    // Without a word of it, a machine that runs works once a boot's time is over.
    const bool runs = instance.state == InstanceState::running;
    const bool ready = said != nullptr && said->ready_since ? true : runs && said == nullptr && age_s >= boot_s;
    if (ready) {
      ++capacity.ready;
      if (said != nullptr && !said->idle_since) busy += said->busy_share.value_or(1);
    } else if (age_s > kStuckFactor * boot_high_s) {
      ++capacity.stuck;
    } else {
      capacity.boot_left_s.push_back(boot_left(age_s, boot_s));
    }
  }
  capacity.ready = std::max(0, capacity.ready - std::max(0, asked));
  // Where all of many instances get a little work, none is idle for long, and yet most are too many.
  if (!heard) busy = messages;
  capacity.busy = static_cast<int>(std::ceil(std::min(static_cast<double>(capacity.ready), busy) - 1e-9));
  return capacity;
}

void ImageTime::observe(const Observation& observation, int ready, bool after_gap) {
  const auto messages = static_cast<double>(observation.depth.visible + observation.depth.in_flight);
  const bool saturated = observation.depth.visible > 0 && ready > 0;
  if (after_gap || !saturated) {
    fall_.reset();
    return;
  }
  if (!fall_ || messages > fall_->messages_then) {
    fall_ = Fall{.at = observation.at, .messages_then = messages, .ready = ready};
    return;
  }
  fall_->machine_seconds += fall_->ready * std::chrono::duration<double>(observation.at - fall_->at).count();
  fall_->at = observation.at;
  fall_->ready = ready;
  const double done = fall_->messages_then - messages;
  if (done < kFallMin) return;
  const double upper_s = fall_->machine_seconds / done;
  const bool forgotten = !seen_at_ || observation.at - *seen_at_ > kSeenKept;
  seen_s_ = forgotten ? upper_s : std::min(*seen_s_, upper_s);
  seen_at_ = observation.at;
}

double ImageTime::seconds(const Observation& observation, const ScalingRules& rules) const {
  if (observation.signals.image_seconds) return *observation.signals.image_seconds;
  return seen_s_.value_or(to_s(rules.assumed_image_time));
}

}  // namespace imgrec
