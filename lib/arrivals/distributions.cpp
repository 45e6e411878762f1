#include "lib/arrivals/distributions.hpp"

#include <cmath>
#include <numbers>

namespace imgrec {

double sample_normal(Rng& rng) {
  const double radius = std::sqrt(-2 * std::log(1 - rng.next_unit()));
  return radius * std::cos(2 * std::numbers::pi * rng.next_unit());
}

double sample_exponential(Rng& rng, double mean) {
  return -mean * std::log(1 - rng.next_unit());
}

double LogNormal::sample(Rng& rng) const {
  return sigma == 0 ? median_s : median_s * std::exp(sigma * sample_normal(rng));
}

double LogNormal::mean() const {
  return median_s * std::exp(sigma * sigma / 2);
}

double LogNormal::quantile(double deviations) const {
  return median_s * std::exp(sigma * deviations);
}

}  // namespace imgrec
