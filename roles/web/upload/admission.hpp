// Whether one more image may be taken in. What would wait for too long is refused at once: so who is taken in is
// answered in time, and the service does not work for clients that have left.
#pragma once

#include <cstddef>
#include <deque>
#include <optional>

#include "lib/base/units.hpp"

namespace imgrec {

struct AdmissionRules {
  Millis queue_wait_max{4'000};      // images that would wait longer are refused …
  std::size_t queue_jobs_min = 128;  // … unless no more than so many are pending
  std::size_t pending_jobs_max = 10'000;
};

/// Pure: the time is passed in. Not thread-safe.
///
/// The estimate is Little's law: the images pending, divided by the rate at which answers come in. That rate is counted
/// only while a crowd is pending (more than half of queue_jobs_min), because a service with less to do answers at the
/// clients' pace rather than at its own. It is unknown until answers have come in for half a second, and again after
/// five seconds without any (all workers gone, or still starting).
class Admission {
 public:
  explicit Admission(const AdmissionRules& rules) : rules_(rules) {}

  /// One image was answered; so many are pending now.
  void answered(std::size_t pending, MonoTime now);

  struct Decision {
    bool accepted = true;
    /// How long another image would wait; nothing while the rate is unknown.
    std::optional<Millis> wait;
    Millis retry_after{0};  // when refused: whole seconds, 1 to 30
  };
  Decision decide(std::size_t pending, MonoTime now);

  /// Answers a second; nothing while it is unknown.
  std::optional<double> rate(MonoTime now) const;

 private:
  void forget_old(MonoTime now);

  struct Slot {  // answers of a tenth of a second
    MonoTime begin{};
    int answers = 0;
  };
  const AdmissionRules rules_;
  std::deque<Slot> slots_;  // oldest first; at most those of the window
  MonoTime measured_since_{};
};

}  // namespace imgrec
