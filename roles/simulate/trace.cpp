#include "roles/simulate/trace.hpp"

#include <algorithm>

namespace imgrec::simulate {

double scale_for_peak(const Trace& trace, const WorkerKind& kind, double machines) {
  constexpr double kMinuteS = 60;
  double highest = 0, in_window = 0;
  std::size_t first = 0;
  for (std::size_t last = 0; last < trace.rows.size(); ++last) {
    in_window += trace.rows[last].count;
    while (first < last && trace.rows[first].from_s < trace.rows[last].to_s - kMinuteS) {
      in_window -= trace.rows[first++].count;
    }
    highest = std::max(highest, in_window / std::max(kMinuteS, trace.rows[last].to_s - trace.rows[first].from_s));
  }
  return highest > 0 ? machines * kind.images_per_s() / highest : 1;
}

Workload make_workload(const Trace& trace, double scale, const WorkerKind& kind, std::uint64_t seed,
                       std::uint64_t jobs_max) {
  SplitMix64 rng(seed);
  double images = 0;
  for (const TraceRow& row : trace.rows) images += row.count * scale;
  Workload workload{.images_per_job = images_per_job(images, kind, jobs_max)};
  spread_trace(
      trace, scale, static_cast<std::uint64_t>(workload.images_per_job), rng, [&](double at_s, std::uint64_t in_job) {
        workload.jobs.push_back({.at = kBegin + from_seconds(at_s), .images = static_cast<std::uint32_t>(in_job)});
      });
  finish_workload(workload, kind, rng);
  return workload;
}

}  // namespace imgrec::simulate
