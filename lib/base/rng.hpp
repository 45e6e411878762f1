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

/// Reproducible: the same seed gives the same numbers everywhere (splitmix64, https://prng.di.unimi.it/splitmix64.c).
/// Not thread-safe, and not for ids that must not be guessed.
class SplitMix64 final : public Rng {
 public:
  explicit SplitMix64(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() override {
    std::uint64_t mixed = state_ += 0x9e3779b97f4a7c15;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
    return mixed ^ (mixed >> 31);
  }

 private:
  std::uint64_t state_;
};

/// The kernel's random numbers (getrandom): fit for ids that must not be guessed.
Rng& system_rng();

}  // namespace imgrec
