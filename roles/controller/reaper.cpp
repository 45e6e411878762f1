#include "roles/controller/reaper.hpp"

#include <algorithm>
#include <utility>

namespace imgrec {
namespace {

constexpr Millis kHeardLately{150'000};  // two signals of a worker are missing
constexpr Millis kNobodyWorks{120'000};  // counts of a queue may be late

std::string seconds(MonoTime::duration span) {
  return std::to_string(std::chrono::duration_cast<Seconds>(span).count()) + " s";
}

}  // namespace

void Reaper::hear(const Observation& observation) {
  const MonoTime now = observation.at;
  for (std::size_t i = 0; i < observation.instances.size(); ++i) {
    Watched& watched =
        watched_.try_emplace(observation.instances[i].id.str(), Watched{.first_seen = now}).first->second;
    watched.seen_at = now;
    if (i >= observation.signals.instances.size() || !observation.signals.instances[i].last_heard) continue;
    watched.heard = observation.signals.instances[i].last_heard;
    heard_any_ = std::max(heard_any_.value_or(*watched.heard), *watched.heard);
  }
  std::erase_if(watched_, [&](const auto& one) { return one.second.seen_at != now; });
  if (observation.depth.visible == 0 || observation.depth.in_flight > 0) {
    nobody_works_since_.reset();
  } else if (!nobody_works_since_) {
    nobody_works_since_ = now;
  }
}

bool Reaper::is_useless(const Observation& observation, const Instance& instance, const Watched& watched,
                        std::string& why) const {
  const MonoTime now = observation.at;
  const Signals& signals = observation.signals;
  if (watched.heard) {
    const MonoTime since = std::max(*watched.heard, signals.unread_at.value_or(*watched.heard));
    if (rules_.silent_timeout == Millis(0) || now - since < rules_.silent_timeout) return false;
    why = "its worker has told nothing for " + seconds(now - since);
    return true;
  }
  const Millis age = observation.wall - instance.launched_at;
  if (rules_.ready_timeout == Millis(0) || age < rules_.ready_timeout) return false;
  if (instance.state == InstanceState::pending) {
    why = "it is not ready " + seconds(age) + " after its launch";
    return true;
  }
  // It may have told an earlier controller that it is ready; then it will be heard soon.
  const MonoTime since = std::max(watched.first_seen, signals.unread_at.value_or(watched.first_seen));
  if (now - since < rules_.ready_timeout) return false;
  const bool others_are_heard = heard_any_ && now - *heard_any_ < kHeardLately;
  const bool nobody_works = nobody_works_since_ && now - *nobody_works_since_ >= kNobodyWorks;
  if (!others_are_heard && !nobody_works) return false;
  why = "its worker has not told that it is ready, " + seconds(age) + " after its launch";
  return true;
}

std::vector<InstanceId> Reaper::observe(const Observation& observation) {
  findings_.clear();
  hear(observation);
  const MonoTime now = observation.at;
  std::vector<InstanceId> reaped;
  for (const Instance& instance : observation.instances) {
    Watched& watched = watched_.at(instance.id.str());
    if (watched.told_at) {
      const bool again = instance.state != InstanceState::stopping || now - *watched.told_at >= kTellAgain;
      if (again) reaped.push_back(instance.id);
      continue;
    }
    if (instance.state == InstanceState::stopping) continue;
    std::string why;
    if (!is_useless(observation, instance, watched, why)) {
      watched.warned.reset();
      watched.is_said = false;
    } else if (!watched.warned) {
      watched.warned = now;
      findings_.push_back(instance.id.str() + ": " + why + "; it is ended in " + seconds(kGrace));
    } else if (now - *watched.warned >= kGrace) {
      reaped.push_back(instance.id);
      if (!std::exchange(watched.is_said, true)) findings_.push_back(instance.id.str() + ": " + why + "; it is ended");
    }
  }
  return reaped;
}

void Reaper::told_to_end(std::span<const InstanceId> ids, MonoTime now) {
  for (const InstanceId& id : ids) {
    const auto found = watched_.find(id.str());
    if (found != watched_.end()) found->second.told_at = now;
  }
}

}  // namespace imgrec
