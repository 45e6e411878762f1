// What the service is doing, as the controller sees it: one object in the result store that every web node reads, at
// the same key on one machine and on AWS. It carries the latest minutes too, so that a reader that looks seldom still
// has every second.
//
// What could not be read is absent (in JSON: null or left out), never 0.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/ids.hpp"
#include "lib/base/result.hpp"
#include "lib/base/units.hpp"

namespace imgrec {

/// "v" of the documents that this build reads and writes.
constexpr int kServiceStatusVersion = 1;
constexpr std::uint64_t kServiceStatusBytesMax = kMiB;

enum class MachineState {
  booting,   // launched, and its worker has not said that it is ready
  ready,     // its worker waits for work, or nothing is heard of what it does
  busy,      // its worker has work
  draining,  // asked or told to end; it may still finish what it holds
};
std::string_view to_text(MachineState state);

struct MachineStatus {
  std::string id = {};
  std::string app_tier_id = {};  // "app-tier-1"
  std::string type = {};         // "c7i.large"; empty: not known
  MachineState state = MachineState::booting;
  WallTime launched_at{};
  std::optional<std::uint64_t> images = {};  // finished by its worker, as it told last
  std::optional<double> busy_share = {};     // 0 to 1, of the time that its worker told of last
  bool operator==(const MachineStatus&) const = default;
};

/// A decision that did something, or failed, or whose reason is new.
struct DecisionStatus {
  WallTime at{};
  std::optional<int> wanted = {};
  int launch = 0, take_back = 0, ask_to_stop = 0, terminate = 0;
  std::string why = {};
  std::string error = {};  // empty: nothing failed
  bool operator==(const DecisionStatus&) const = default;
};

/// The values of one look at the service, in the order of kServiceColumns; NaN: not known.
inline constexpr std::array<std::string_view, 10> kServiceColumns = {
    "visible", "in_flight", "delayed",  "oldest_age_s", "booting",
    "ready",   "busy",      "draining", "wanted",       "machine_seconds"};
struct ServiceSample {
  WallTime at{};
  std::array<double, kServiceColumns.size()> values{};
};

/// The latest boots of machines from one image, each from launch to ready.
struct BootStatus {
  std::string image = {};            // "ami-…"; empty: not known
  std::vector<double> times_s = {};  // oldest first; at least one
  double mean_s() const;
  double slowest_s() const;
  bool operator==(const BootStatus&) const = default;
};

struct QueueStatus {
  std::uint64_t visible = 0, in_flight = 0, delayed = 0;
  std::optional<Millis> oldest_age = {};
  bool operator==(const QueueStatus&) const = default;
};

struct MachineCounts {
  int booting = 0, ready = 0, busy = 0, draining = 0;
  bool operator==(const MachineCounts&) const = default;
};

/// Time of instances that were pending, running or stopping, since `since`.
struct ServiceCost {
  WallTime since{};
  double machine_seconds = 0;
  double dollars_per_hour = 0;  // of one machine, the mean of those there are; 0: they cost nothing
  double dollars = 0;           // of all that time, each machine at the price of its type
};

struct ServiceStatus {
  static constexpr std::size_t kMachinesMax = 500;  // further ones are only counted
  static constexpr std::size_t kDecisionsMax = 50;
  static constexpr std::size_t kBootsMax = 4;       // images
  static constexpr std::size_t kBootTimesMax = 20;  // of each
  static constexpr std::size_t kSamplesMax = 300;

  using Queue = QueueStatus;
  using Counts = MachineCounts;
  using Cost = ServiceCost;

  WallTime at{};                // of the look that it tells of
  Millis every{1'000};          // when something changes, a new one is published after so long …
  Millis at_least{12'000};      // … and when nothing does, after so long
  bool ended = false;           // the controller has ended in good order; its machines may go on
  std::string controller = {};  // names the process
  std::string policy = {};
  std::optional<Queue> queue = {};  // with `machines` and `counts`: absent when they could not be read
  std::optional<Counts> counts = {};
  std::vector<MachineStatus> machines = {};  // oldest first
  std::optional<int> wanted = {};
  std::string why = {};                       // of the latest decision
  std::string error = {};                     // what could not be read or done in the latest look
  std::optional<double> arrivals_per_s = {};  // images that web nodes take in, over about 30 s
  std::optional<double> boot_s = {};          // from launch to ready: measured, else as the settings assume
  std::vector<BootStatus> boots = {};         // measured, by image, that of the latest boot last; the next controller
                                              // goes on with them
  Cost cost = {};
  std::vector<DecisionStatus> decisions = {};  // newest first
  std::vector<ServiceSample> samples = {};     // oldest first, one a second at most
};

/// "status/service".
ObjectKey service_status_key();

std::string to_json(const ServiceStatus& status);
/// Else ErrorKind::invalid, "bad_service_status". Unknown members are ignored.
Result<ServiceStatus> parse_service_status(std::string_view json);

}  // namespace imgrec
