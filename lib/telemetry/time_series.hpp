// Recent values over time in bounded memory: the last hour by the second, the last day by the minute.
//
// Threads  safe.
// Time     is passed in. When it steps back (a clock that was set), what was recorded for the time after it is dropped.
// Memory   is taken once, at construction: about 130 kB per column. A restart begins empty.
#pragma once

#include <limits>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/units.hpp"

namespace imgrec {

enum class Resolution { second, minute };

struct SeriesPoint {
  WallTime at;  // the beginning of the second or the minute
  double mean = 0;
  double max = 0;
  bool operator==(const SeriesPoint&) const = default;
};

/// What is recorded, and exported as a gauge, where nobody knows the value.
inline constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

class TimeSeries {
 public:
  static constexpr int kSecondsKept = 60 * 60;
  static constexpr int kMinutesKept = 24 * 60;

  /// One series per column. At most kColumnsMax; further ones are left out.
  static constexpr std::size_t kColumnsMax = 64;
  explicit TimeSeries(std::vector<std::string> columns);

  /// One value per column, in their order; kUnknown leaves a gap rather than a 0.
  void record(WallTime at, std::span<const double> values);

  /// The points of a column that begin at or after `since`, oldest first; none for a column that does not exist.
  std::vector<SeriesPoint> read(std::string_view column, Resolution resolution, WallTime since) const;

  const std::vector<std::string>& columns() const { return columns_; }

 private:
  struct Cell {
    double sum = 0, max = 0;
    std::uint32_t count = 0;
  };
  /// A ring of cells, one row per step of time; a row that leaves the ring is used again.
  struct Ring {
    Millis step;
    std::int64_t rows;
    std::int64_t newest = -1;  // the number of the newest row: steps since 1970; -1: empty
    std::vector<Cell> cells;
  };

  Cell* row(Ring& ring, std::int64_t number) const;
  void move_to(Ring& ring, std::int64_t number) const;

  const std::vector<std::string> columns_;
  mutable std::mutex mutex_;
  Ring seconds_, minutes_;
};

}  // namespace imgrec
