// Which controller leads: one small object in the result store, which controllers swap (ObjectStore's if_match).
//
// A leader writes it again and again. Whoever sees it unchanged for its length, on the own clock, may take it over with
// a higher epoch: no two machines' clocks are compared. Idle workers read it too, to learn that nobody leads any more.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/ids.hpp"
#include "lib/base/result.hpp"
#include "lib/base/units.hpp"

namespace imgrec {

/// A launch that a leader was about to ask for, noted before it did: its successor repeats it, with the same token,
/// instead of launching anew what the cloud may only show later.
struct NotedLaunch {
  LaunchToken token;
  int count = 0;     // new instances
  int total = 0;     // as LaunchRequest::total
  std::string plan;  // as LaunchRequest::plan
  bool operator==(const NotedLaunch&) const = default;
};

struct LeaderLease {
  std::uint64_t epoch = 0;     // grows with every change of leader
  std::string holder;          // names one process
  std::string fleet = {};      // whose instances it launches and ends (aws.fleet); empty: not said
  std::uint64_t renewals = 0;  // grows with every write, so that no two are equal
  Millis length{0};            // the holder leads for so long after each write
  bool released = false;       // the holder has ended: anybody may lead at once
  std::vector<NotedLaunch> launches = {};
  WallTime at{};  // for people
  bool operator==(const LeaderLease&) const = default;
};

constexpr std::uint64_t kLeaderLeaseBytesMax = 64 * kKiB;

/// "status/leader".
ObjectKey leader_lease_key();

std::string to_json(const LeaderLease& lease);
/// Errors: invalid "bad_leader_lease", also for another version.
Result<LeaderLease> parse_leader_lease(std::string_view json);

}  // namespace imgrec
