// What a trace of arrivals is to a simulation.
#pragma once

#include "lib/arrivals/trace.hpp"
#include "roles/simulate/arrivals.hpp"

namespace imgrec::simulate {

/// The factor for which the busiest minute (or row, where rows are longer) takes `machines` machines of this kind.
double scale_for_peak(const Trace& trace, const WorkerKind& kind, double machines);

/// Every arrival, each row's count multiplied by `scale`, as spread_trace() places them.
Workload make_workload(const Trace& trace, double scale, const WorkerKind& kind, std::uint64_t seed,
                       std::uint64_t jobs_max = 1'000'000);

}  // namespace imgrec::simulate
