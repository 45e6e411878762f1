// The only source of randomness; tests pass a seeded one.
#pragma once

#include <cstdint>

namespace imgrec {

/// Thread-safe in the system's implementation; a test's need not be.
class Rng {
 public:
  virtual ~Rng() = default;
  /// 64 uniformly random bits.
  virtual std::uint64_t next() = 0;
  /// Uniform in [0, 1).
  double next_unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }
};

/// The kernel's random numbers (getrandom): fit for ids that must not be guessed.
Rng& system_rng();

}  // namespace imgrec
