// The best single configuration of each peer: searched for over all scenarios, and kept in a file.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "roles/simulate/contest.hpp"

namespace imgrec::simulate {

/// Peer → a value for each of its knobs.
using Tuned = std::map<std::string, KnobValues>;

/// The geometric mean of dollars × 95th percentile of the waits: what a tuned peer is best in.
double score(const std::vector<Summary>& summaries);

/// Coordinate descent from the documented values: each knob in turn takes the best of its values, until a pass through
/// all of them changes nothing or passes_max is reached. With the first seed of each course, and larger jobs where
/// there are many images (make_workload).
KnobValues tune(const Peer& peer, const std::vector<Course>& courses, int passes_max = 2);

/// A TOML file with a table for each peer.
std::string to_toml(const Tuned& tuned);
/// Errors: invalid "bad_tuning".
Result<Tuned> parse_tuned(const std::string& text, const std::string& shown);

}  // namespace imgrec::simulate
