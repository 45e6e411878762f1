#include "lib/base/backoff.hpp"

#include <algorithm>

namespace imgrec {

Millis Backoff::next() {
  const double ceiling = std::min(static_cast<double>(options_.max.count()),
                                  static_cast<double>(options_.base.count()) * static_cast<double>(1ULL << failures_));
  failures_ = std::min(failures_ + 1, 30);
  return Millis(static_cast<Millis::rep>(ceiling * rng_.next_unit()));
}

}  // namespace imgrec
