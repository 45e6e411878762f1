// Arrival traces: CSV files with a header `at_s` or `at_s,count`.
#pragma once

#include <string>
#include <vector>

#include "roles/simulate/arrivals.hpp"

namespace imgrec::simulate {

/// So many images between two instants, in no known order.
struct TraceRow {
  double from_s = 0, to_s = 0;
  double count = 1;
};

struct Trace {
  std::string name;
  std::vector<TraceRow> rows;  // by time
  double duration_s() const { return rows.empty() ? 0 : rows.back().to_s; }
};

/// at_s: seconds since the start, ascending. Without a count, a row is one arrival; with it, that many between this row
/// and the next (the last stretch is as long as the one before). Errors: invalid "bad_trace" (with the line).
Result<Trace> parse_trace(const std::string& text, const std::string& shown);

/// The factor for which the busiest minute (or row, where rows are longer) takes `machines` machines of this kind.
double scale_for_peak(const Trace& trace, const WorkerKind& kind, double machines);

/// Every arrival, each row's count multiplied by `scale`: spread over its stretch by a Poisson process that keeps the
/// count (points in uniform order). A row of one arrival is spread too when it becomes several. What is left of a
/// fraction is an image with that chance.
Workload make_workload(const Trace& trace, double scale, const WorkerKind& kind, std::uint64_t seed,
                       std::uint64_t jobs_max = 1'000'000);

}  // namespace imgrec::simulate
