// What the controller makes of the signals of web nodes and workers. Pure: time is passed in.
//
// Signals may be lost, late, doubled or reordered, and a worker may die without one. So each counts once, what is known
// ages and is dropped, and whatever is not known is absent: the queue's own counts remain the ground truth.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "lib/base/units.hpp"
#include "lib/job/signal.hpp"
#include "lib/ports/fleet.hpp"
#include "roles/controller/policy/observation.hpp"

namespace imgrec {

/// A worker that was silent for so long is not known any more: two of its signals are missing.
constexpr Seconds kWorkerSilentMax{150};

/// Not thread-safe. Memory is bounded: by kSendersMax senders, and by the five minutes that are looked back on.
class SignalBook {
 public:
  static constexpr std::size_t kSendersMax = 20'000;

  /// `now`: when it was received. `wall`: the same instant, on the clock of Instance::launched_at. Returns true when it
  /// is news that a look should not wait for: an image after a quiet time, a worker that is ready or has ended.
  bool hear(const Signal& signal, MonoTime now, WallTime wall);

  /// What is known at `now`; Signals::instances are those of `instances`, or none when no worker was heard lately. An
  /// instance is known by its App Tier ID; what was heard before its launch was said by another.
  Signals read(MonoTime now, const std::vector<Instance>& instances);

  /// What an earlier controller measured, as Signals::boots; before anything is read.
  void recall_boots(std::vector<ImageBoots> boots);

  /// Whether any web node was ever heard: then the next image will be told too.
  bool hears_web_nodes() const { return last_arrival_.has_value(); }

 private:
  struct Sender {
    std::string life;
    std::uint64_t newest = 0;     // sequence number
    std::uint64_t heard_set = 0;  // bit n: the one n before the newest was heard
    MonoTime heard_at{};
    WallTime heard_wall{};
    std::optional<MonoTime> ready_since;
    std::optional<WallTime> ready_wall;  // until its boot was measured
    std::optional<MonoTime> idle_since;
    std::optional<double> busy_share;
    std::uint64_t images = 0;  // finished
    bool gone = false;         // draining or ended
  };
  struct Arrival {
    MonoTime at{};
    Millis span{0};
    std::uint64_t images = 0;
  };
  struct Report {
    MonoTime at{};
    double busy_s = 0;
    bool saturated = false;  // it had work all the time
    std::uint64_t images = 0;
  };

  // Returns nothing when this signal counts no more: doubled, of an earlier life, or older than can be told.
  Sender* first_time(const Signal& signal, MonoTime now, WallTime wall, bool& is_newest);
  bool arrived(const Signal& signal, MonoTime now);
  void forget(MonoTime now);
  double arrived_within(MonoTime now, Seconds span) const;
  void booted(const std::string& image, Millis took);
  void add_boots(Signals& signals) const;
  std::optional<double> image_seconds() const;

  std::unordered_map<std::string, Sender> senders_;
  std::unordered_map<std::string, std::string> earlier_life_;  // of a sender: the one before its present life
  std::deque<Arrival> arrivals_;
  std::optional<MonoTime> first_arrival_, last_arrival_;
  double arrived_ = 0;  // images in all
  std::deque<Millis> gaps_;
  std::deque<Report> reports_;
  std::vector<ImageBoots> boots_;
  std::deque<ReadyWorker> ready_lately_;
};

}  // namespace imgrec
