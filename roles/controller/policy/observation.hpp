// What a policy is told: the request queue's counts, the instances, and what web nodes and workers have signalled.
// The counts are always there. Whatever else is absent is not known, and every policy works without it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "lib/base/units.hpp"
#include "lib/ports/fleet.hpp"
#include "lib/ports/message_queue.hpp"

namespace imgrec {

/// What the signals of one instance's worker say.
struct InstanceSignals {
  std::optional<MonoTime> ready_since{};  // it has taken work, or waited for some, since then
  std::optional<MonoTime> last_heard{};
  std::optional<MonoTime> idle_since{};   // it holds nothing since then; absent: busy, or not known
  std::optional<double> busy_share{};     // 0 to 1: the part of its latest report's time in which it worked
  std::optional<std::uint64_t> images{};  // finished since it was heard first
  bool leaving = false;                   // it has said that it takes nothing new: it drains, or has ended
};

/// What web nodes have told of arrivals. They gather: what came within kGathered may not have been told yet.
struct ToldArrivals {
  double images = 0;  // enqueued until `until`, since an instant that stays the same
  MonoTime until{};   // of the latest signal
};

constexpr Millis kGathered{5'000};

/// The latest boots from one image, each from launch to ready.
struct ImageBoots {
  std::string image;          // "ami-…"; empty: not known
  std::vector<Millis> times;  // oldest first; at least one
};

/// A worker that has told that it is ready, when that was heard.
struct ReadyWorker {
  std::string app_tier_id;
  WallTime at{};
};

/// What the signals of all nodes and workers say together.
struct Signals {
  std::optional<ToldArrivals> arrived{};
  std::optional<double> arrivals_per_s{};       // images enqueued, mean over about 30 s
  std::optional<double> arrivals_per_s_long{};  // the same over about 5 minutes
  std::optional<MonoTime> last_arrival{};
  /// Latest times without an arrival that were longer than kQuiet, oldest first.
  std::vector<Millis> quiet_gaps{};
  std::optional<double> image_seconds{};  // of one busy instance: its time divided by the images it finished
  std::optional<Millis> boot_mean{};      // from launch to ready, from the image of the latest boot
  std::optional<Millis> boot_high{};      // the same: 9 of 10 boots take no longer
  std::vector<ImageBoots> boots{};        // that of the latest boot last
  std::optional<MonoTime> unread_at{};    // when signals could last not be read
  /// One for each element of Observation::instances, in the same order; empty: nothing is known of any.
  std::vector<InstanceSignals> instances{};
  /// Workers that became ready lately, oldest first; also those that are gone already.
  std::vector<ReadyWorker> ready_lately{};
};

constexpr Millis kQuiet{5'000};  // a shorter time between two arrivals is no gap

/// Requests to stop. Whichever worker has nothing to do takes one, so it is not known in advance which instance each of
/// them ends. The one that has taken it finishes what it holds, and confirms.
struct Drains {
  bool possible = false;                // false: instances that are too many can only be terminated
  int requested = 0;                    // sent and not confirmed: they can still be taken back
  std::vector<InstanceId> confirmed{};  // hold nothing, take nothing new, and wait for their end
  int overdue = 0;  // requests given up in this round, as no worker took them: so many instances are ended directly
};

struct Observation {
  MonoTime at{};
  QueueDepth depth{};
  std::vector<Instance> instances{};  // pending, running and stopping; oldest first
  Drains drains{};
  std::vector<InstanceId> reaped{};  // of no use, or told to end before: to be ended, whatever is wanted
  Signals signals{};
  /// The same instant as `at` on the clock of Instance::launched_at: their difference is an instance's age.
  WallTime wall{};
};

/// Messages not yet removed: visible, in flight (a worker may be gone) and delayed (they will come).
std::uint64_t count_messages(const QueueDepth& depth);

/// Instances that are pending or running.
int count_active(const std::vector<Instance>& instances);

/// Those that wait for their end, because they have confirmed or are reaped. Views of the observation's ids.
std::unordered_set<std::string_view> ids_that_end(const Observation& observation);

/// Instances that are there to stay: pending or running, and neither asked to stop, nor waiting for their end, nor
/// reaped.
int count_projected(const Observation& observation);

}  // namespace imgrec
