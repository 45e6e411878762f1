// When the requests of the open model are due.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "lib/arrivals/trace.hpp"
#include "lib/base/rng.hpp"
#include "roles/load/plan.hpp"

namespace imgrec::load {

class Arrivals {
 public:
  virtual ~Arrivals() = default;
  /// Seconds since the beginning, never before the last; nothing when there is none any more.
  virtual std::optional<double> next() = 0;
};

/// ramp_s: over how long the rate changes; afterwards it stays. The model lives longer. The same seed gives the same
/// instants.
std::unique_ptr<Arrivals> make_arrivals(const OpenModel& model, double ramp_s, std::uint64_t seed);

/// Every arrival of the trace, its counts multiplied by `scale`, in order.
std::vector<double> arrivals_of(const Trace& trace, double scale, std::uint64_t seed);

}  // namespace imgrec::load
