// Random quantities of the models, drawn from a seeded source.
#pragma once

#include "lib/base/rng.hpp"

namespace imgrec {

/// Standard normal (Box and Muller, 1958).
double sample_normal(Rng& rng);

/// Exponential with this mean.
double sample_exponential(Rng& rng, double mean);

/// A time in seconds whose logarithm is normal: what service and boot times look like, with a long tail upwards.
struct LogNormal {
  double median_s = 1;
  double sigma = 0;  // standard deviation of the logarithm; 0: always the median

  double sample(Rng& rng) const;
  double mean() const;
  /// The time that a share of exp-normal draws stays below: deviations is the normal quantile (2.326 for 99 %).
  double quantile(double deviations) const;
};

constexpr double kNormalQuantile1 = -2.3263;  // 1 % of normal draws are below
constexpr double kNormalQuantile99 = 2.3263;  // 99 % are

}  // namespace imgrec
