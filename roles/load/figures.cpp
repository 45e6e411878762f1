#include "roles/load/figures.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace imgrec::load {

std::optional<double> Latencies::at(double share) const {
  if (sorted.empty()) return std::nullopt;
  const double rank = std::ceil(share * static_cast<double>(sorted.size()));
  const auto index = static_cast<std::size_t>(std::max(1.0, rank)) - 1;
  return sorted[std::min(index, sorted.size() - 1)];
}

std::optional<double> Latencies::mean() const {
  if (sorted.empty()) return std::nullopt;
  return std::accumulate(sorted.begin(), sorted.end(), 0.0) / static_cast<double>(sorted.size());
}

Figures figures_of(const LoadPlan& plan, const LoadResult& result) {
  Figures figures;
  for (const LoadRecord& record : result.records) {
    if (record.is_warmup) {
      ++figures.warmup;
      continue;
    }
    figures.images_ok += record.ok;
    if (record.is_ok()) {
      ++figures.ok;
      figures.latencies.sorted.push_back(record.latency_s());
    } else {
      ++figures.failed;
      ++figures.errors[result.errors[record.error]];
    }
    const double late_s = record.sent_s - record.intended_s;
    figures.late += late_s > kLateAfterS;
    figures.latest_s = std::max(figures.latest_s, late_s);
  }
  std::ranges::sort(figures.latencies.sorted);
  figures.seconds = std::max(0.0, result.duration_s - static_cast<double>(plan.warmup.count()) / 1000);
  if (figures.seconds > 0) {
    figures.images_per_s = static_cast<double>(figures.images_ok) / figures.seconds;
    figures.calls_per_s = static_cast<double>(result.calls) / figures.seconds;
  }
  const std::uint64_t judged = result.correct + result.wrong;
  if (judged > 0) figures.accuracy = static_cast<double>(result.correct) / static_cast<double>(judged);
  figures.first_label_s = result.first_label_s;
  return figures;
}

}  // namespace imgrec::load
