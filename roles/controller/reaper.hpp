// Which instances are ended although no policy asks for it: they are of no use, and would cost for ever.
//
// - One that never became ready: `ready_timeout` after its launch the fleet calls it pending still, or its worker has
//   told nothing. That counts only where signals are known to come: another worker is heard, or nobody takes the
//   messages that are there.
// - One whose worker told something and has been silent for `silent_timeout`, in which signals could be read.
// - One that was told to end and is there still: it is told again until it is gone.
// The first two are told to a person first, and ended kGrace later.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "lib/ports/fleet.hpp"
#include "roles/controller/policy/observation.hpp"

namespace imgrec {

struct ReapRules {
  Millis ready_timeout{0};   // 0: never
  Millis silent_timeout{0};  // 0: never
};

/// Pure: time is passed in. Not thread-safe. Remembers as much as the fleet has instances.
class Reaper {
 public:
  static constexpr Millis kGrace{60'000};
  static constexpr Millis kTellAgain{300'000};  // an instance that is shutting down

  explicit Reaper(const ReapRules& rules) : rules_(rules) {}

  /// The instances to be ended now, whatever is wanted: Observation::reaped.
  std::vector<InstanceId> observe(const Observation& observation);

  void told_to_end(std::span<const InstanceId> ids, MonoTime now);

  /// What the latest observe() found, in sentences for people.
  const std::vector<std::string>& findings() const { return findings_; }

 private:
  struct Watched {
    MonoTime first_seen{};
    std::optional<MonoTime> heard{};    // its worker's latest signal
    std::optional<MonoTime> warned{};   // it is of no use: when that was told
    bool is_said = false;               // that it is ended
    std::optional<MonoTime> told_at{};  // to end
    MonoTime seen_at{};                 // in the latest look
  };

  bool is_useless(const Observation& observation, const Instance& instance, const Watched& watched,
                  std::string& why) const;
  void hear(const Observation& observation);

  const ReapRules rules_;
  std::unordered_map<std::string, Watched> watched_;
  std::optional<MonoTime> nobody_works_since_;  // messages are visible, and none is in flight
  std::optional<MonoTime> heard_any_;
  std::vector<std::string> findings_;
};

}  // namespace imgrec
