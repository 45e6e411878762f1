// What the controller decided lately, and why: for people, and for whatever shows it to them.
//
// Threads  safe.
// Memory   bounded: the newest `records_max` records, each with texts of at most kTextBytesMax. A decision that only
//          repeats the one before it adds nothing but a count.
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "lib/base/units.hpp"

namespace imgrec {

struct DecisionRecord {
  // What was seen. Nothing is told where it could not be read.
  struct Seen {
    std::uint64_t visible = 0, in_flight = 0, delayed = 0;
    std::optional<Millis> oldest_age = {};
    int pending = 0, running = 0, stopping = 0;
    bool operator==(const Seen&) const = default;
  };
  // What was done about it. In a dry run: what would have been.
  struct Actions {
    int take_back = 0, launch = 0, ask = 0, terminate = 0;  // requests to stop are asked and taken back
    bool operator==(const Actions&) const = default;
  };

  WallTime at{};        // of the first of equal decisions
  WallTime repeated{};  // of the last of them
  std::uint64_t times = 1;
  std::optional<Seen> seen = {};
  std::optional<int> wanted = {};  // instances pending or running; nothing when nothing was decided
  Actions actions = {};
  std::string why = {};
  std::string error = {};  // what failed; empty: nothing did
  bool dry_run = false;
};

class DecisionHistory {
 public:
  static constexpr std::size_t kTextBytesMax = 500;

  /// records_max: 1 or more.
  explicit DecisionHistory(std::size_t records_max) : records_max_(records_max) {}

  void record(DecisionRecord record);

  /// The newest `count`, newest first.
  std::vector<DecisionRecord> latest(std::size_t count) const;

  /// The same as a JSON document: {"decisions": [{"at": …, "wanted": 3, "why": …}, …]}.
  std::string to_json(std::size_t count) const;

 private:
  const std::size_t records_max_;
  mutable std::mutex mutex_;
  std::deque<DecisionRecord> records_;  // oldest first
};

}  // namespace imgrec
