// Arrival traces: CSV files with a header `at_s` or `at_s,count`.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "lib/base/result.hpp"
#include "lib/base/rng.hpp"

namespace imgrec {

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

/// Calls `add` for every arrival, each row's count multiplied by `scale`, in groups of `group` images (what is left at
/// the end is a smaller one): spread over the row's stretch by a Poisson process that keeps the count (points in
/// uniform order, so that the times of a row do not ascend). A row of one arrival is spread too when it becomes
/// several. What is left of a fraction is an image with that chance.
void spread_trace(const Trace& trace, double scale, std::uint64_t group, Rng& rng,
                  const std::function<void(double at_s, std::uint64_t images)>& add);

}  // namespace imgrec
