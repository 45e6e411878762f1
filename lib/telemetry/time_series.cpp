#include "lib/telemetry/time_series.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace imgrec {
namespace {

std::vector<std::string> bounded(std::vector<std::string> columns) {
  if (columns.size() > TimeSeries::kColumnsMax) columns.resize(TimeSeries::kColumnsMax);
  return columns;
}

std::int64_t floor_divide(Millis time, Millis step) {
  const auto quotient = time / step;
  return time % step < Millis(0) ? quotient - 1 : quotient;
}

}  // namespace

TimeSeries::TimeSeries(std::vector<std::string> columns)
    : columns_(bounded(std::move(columns))),
      seconds_{.step = Seconds(1), .rows = kSecondsKept, .cells = {}},
      minutes_{.step = std::chrono::minutes(1), .rows = kMinutesKept, .cells = {}} {
  for (Ring* ring : {&seconds_, &minutes_}) ring->cells.resize(static_cast<std::size_t>(ring->rows) * columns_.size());
}

TimeSeries::Cell* TimeSeries::row(Ring& ring, std::int64_t number) const {
  return ring.cells.data() + static_cast<std::size_t>(number % ring.rows) * columns_.size();
}

// Makes `number` the newest row and empties every row that this takes from the ring's old end, or, when time stepped
// back, from its future.
void TimeSeries::move_to(Ring& ring, std::int64_t number) const {
  const std::int64_t low = std::min(ring.newest, number) + 1;
  const std::int64_t high = std::max(ring.newest, number);
  if (ring.newest < 0 || high - low + 1 >= ring.rows) {
    std::ranges::fill(ring.cells, Cell{});
  } else {
    for (std::int64_t i = low; i <= high; ++i) std::fill_n(row(ring, i), columns_.size(), Cell{});
  }
  ring.newest = number;
}

void TimeSeries::record(WallTime at, std::span<const double> values) {
  std::lock_guard lock(mutex_);
  for (Ring* ring : {&seconds_, &minutes_}) {
    const std::int64_t number = floor_divide(at.time_since_epoch(), ring->step);
    if (number < 0) return;  // before 1970: no clock says that in earnest
    if (number != ring->newest) move_to(*ring, number);
    Cell* const cells = row(*ring, number);
    for (std::size_t i = 0; i < std::min(values.size(), columns_.size()); ++i) {
      if (std::isnan(values[i])) continue;
      cells[i].max = cells[i].count == 0 ? values[i] : std::max(cells[i].max, values[i]);
      cells[i].sum += values[i];
      ++cells[i].count;
    }
  }
}

std::vector<SeriesPoint> TimeSeries::read(std::string_view column, Resolution resolution, WallTime since) const {
  std::lock_guard lock(mutex_);
  const auto found = std::ranges::find(columns_, column);
  const Ring& ring = resolution == Resolution::second ? seconds_ : minutes_;
  std::vector<SeriesPoint> points;
  if (found == columns_.end() || ring.newest < 0) return points;
  const auto index = static_cast<std::size_t>(found - columns_.begin());
  for (std::int64_t number = std::max<std::int64_t>(0, ring.newest - ring.rows + 1); number <= ring.newest; ++number) {
    const WallTime begin{ring.step * number};
    const Cell& cell = ring.cells[static_cast<std::size_t>(number % ring.rows) * columns_.size() + index];
    if (begin < since || cell.count == 0) continue;
    points.push_back({.at = begin, .mean = cell.sum / cell.count, .max = cell.max});
  }
  return points;
}

}  // namespace imgrec
