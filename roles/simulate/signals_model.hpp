// What web nodes and workers tell the controller in a simulation: what they enqueued and finished, with the delay of
// gathering it.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>

#include "roles/controller/policy/observation.hpp"
#include "roles/simulate/sim_time.hpp"

namespace imgrec::simulate {

class SignalsModel {
 public:
  /// True when these images came after a quiet time: a web node tells that at once.
  bool arrived(MonoTime now, std::uint32_t images);
  /// machine_s: the time of one machine with all slots busy that these images took.
  void finished(std::uint32_t images, double machine_s);
  void booted(Span boot);

  /// All but what is known of each instance.
  Signals read(MonoTime now);

 private:
  static constexpr int kSecondsKept = 400;
  static constexpr std::size_t kGapsKept = 32;
  static constexpr std::size_t kBootsKept = 50;

  void move_to(std::int64_t second);
  void tell_gathered(MonoTime now);
  double told_within(std::int64_t now, int seconds) const;
  double untold() const;

  std::array<double, kSecondsKept> arrivals_{};  // by second, as a ring
  double arrived_ = 0;                           // images in all
  std::int64_t newest_ = 0;                      // the newest second in the ring
  std::int64_t told_ = 0;                        // arrivals until this second have been told
  std::optional<MonoTime> told_at_;              // the latest signal of them
  bool untold_ = false;                          // some have come since
  std::optional<MonoTime> last_arrival_;
  std::deque<Millis> gaps_;
  std::deque<Span> boots_;
  double images_ = 0, machine_s_ = 0;  // lately finished: older ones weigh less
};

}  // namespace imgrec::simulate
