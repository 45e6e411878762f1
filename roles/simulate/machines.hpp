// The cloud: machines that boot, work, drain and end, and what they cost. It is a Fleet for the controller's code.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "lib/base/rng.hpp"
#include "lib/ports/fleet.hpp"
#include "roles/simulate/event_queue.hpp"
#include "roles/simulate/scenario.hpp"

namespace imgrec::simulate {

constexpr int kSlotsMax = 8;
constexpr std::uint32_t kNoJob = 0xffffffff;

enum class Phase : std::uint8_t {
  booting,
  working,    // its worker takes work
  confirmed,  // has taken a request to stop, holds nothing, and waits for its end
  told,       // told to end by the cloud, or ending by itself; finishes what it holds
  ending,     // shutting down
  gone,
};

struct Machine {
  MonoTime launched{}, ready_at{};
  MonoTime shown_from{};  // to who did not hear the answer to its launch
  MonoTime idle_since{};  // while it works and has no job
  MonoTime billed_from = MonoTime::max();
  MonoTime billed_until = MonoTime::max();
  std::array<std::uint32_t, kSlotsMax> jobs{};  // kNoJob: free
  int busy = 0;
  std::vector<std::uint32_t> ahead{};  // received, and not begun
  bool knows_time = false;             // its worker has finished an image
  bool backlog = false;                // its worker's last call brought as many messages as it asked for
  int number = 0;                      // of its App Tier ID
  std::uint32_t place_polling = 0;     // in the list of those whose worker asks for messages, plus one; 0: not in it
  Phase phase = Phase::booting;
  bool takes_work = false;
  bool told_by_cloud = false;  // the cloud shows it as stopping

  int held() const { return busy + static_cast<int>(ahead.size()); }
};

/// EC2's bill for one machine, in seconds: from running to its end by the second, 60 at least; nothing when it ended
/// before it ran. https://aws.amazon.com/ec2/pricing/on-demand/
double billed_seconds(const Machine& machine, MonoTime now);

class Machines final : public Fleet {
 public:
  Machines(const Scenario& scenario, const WorkerKind& kind, EventQueue& events, std::uint64_t seed);

  /// The time of the calls that follow.
  void set_now(MonoTime now) { now_ = now; }

  // What the controller calls. Errors as the faults of the scenario want them: throttled "fleet_full" without capacity,
  // throttled "throttled", transient "reply_lost".
  Result<std::vector<Instance>> describe(const CallLimits& limits = {}) override;
  Result<std::vector<Instance>> launch(const LaunchRequest& request, const CallLimits& limits = {}) override;
  Result<void> terminate(std::span<const InstanceId> ids, const CallLimits& limits = {}) override;

  /// True when the caller was killed at a call since this was asked last; what it called then fails, and what it calls
  /// later too.
  bool take_caller_killed() { return std::exchange(caller_killed_, false); }

  /// Whoever called until now knows nothing any more: what was launched shortly before is shown to the next one as late
  /// as the faults want it.
  void caller_forgets();

  // What happens to machines.
  void runs(std::uint32_t index);
  void gone(std::uint32_t index);
  /// It holds nothing any more after it was told to end or began to end by itself.
  void begin_ending(std::uint32_t index);
  /// Spot takes it, or it is about to power itself off.
  void end_by_itself(std::uint32_t index);
  /// It is gone at once, whatever it held.
  void crash(std::uint32_t index);

  Machine& operator[](std::uint32_t index) { return all_[index]; }
  const Machine& operator[](std::uint32_t index) const { return all_[index]; }
  const std::vector<std::uint32_t>& alive() const { return alive_; }  // not gone; oldest first
  /// Those that stopped taking work since this was asked last, whoever told them.
  std::vector<std::uint32_t> take_stopped() { return std::exchange(stopped_, {}); }
  static InstanceId id_of(std::uint32_t index);

  int launches() const { return static_cast<int>(all_.size()); }
  int most_alive() const { return most_alive_; }
  /// Of all machines so far; those that are still there are billed until now.
  double billed_seconds_total(MonoTime now) const;
  int count_staying() const;  // booting or working

 private:
  Instance instance(std::uint32_t index) const;
  std::uint32_t add_machine();
  bool is_killed();

  const Scenario& scenario_;
  const WorkerKind& kind_;
  EventQueue& events_;
  SplitMix64 boots_, faults_;  // apart, so that a fault changes no boot
  MonoTime now_ = kBegin;
  std::vector<Machine> all_;  // in the order of their launch
  std::vector<std::uint32_t> alive_;
  std::vector<std::uint32_t> stopped_;
  std::set<int> numbers_free_;  // given back; else the next one
  int numbers_used_ = 0;
  std::map<LaunchToken, std::vector<std::uint32_t>> answered_;  // for a launch that is asked for again
  double billed_ended_s_ = 0;                                   // of those gone
  int most_alive_ = 0;
  bool caller_killed_ = false;
};

}  // namespace imgrec::simulate
