// What a workload's records come to.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "roles/load/plan.hpp"

namespace imgrec::load {

/// Seconds, of all requests that were answered for each of their images.
struct Latencies {
  std::vector<double> sorted;

  std::size_t count() const { return sorted.size(); }
  /// The smallest latency that this share of all (0 to 1) does not exceed (nearest rank); nothing when there is none.
  std::optional<double> at(double share) const;
  std::optional<double> mean() const;
};

/// After the warm-up, unless another thing is said.
struct Figures {
  std::uint64_t ok = 0, failed = 0;  // requests
  std::uint64_t images_ok = 0;
  std::uint64_t warmup = 0;                     // requests of the warm-up
  std::uint64_t late = 0;                       // sent more than kLateAfterS after they were due
  double latest_s = 0;                          // how late at most
  std::map<std::string, std::uint64_t> errors;  // requests by the kind of (the last of) their errors
  Latencies latencies;
  double seconds = 0;  // from the end of the warm-up to the last end
  double images_per_s = 0, calls_per_s = 0;
  std::optional<double> accuracy;       // 0 to 1, of the images whose right label is known
  std::optional<double> first_label_s;  // since the beginning
};

constexpr double kLateAfterS = 0.010;

Figures figures_of(const LoadPlan& plan, const LoadResult& result);

}  // namespace imgrec::load
