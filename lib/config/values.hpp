// How durations and sizes are written in files, in the environment and on the command line.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "lib/base/duration_range.hpp"
#include "lib/base/units.hpp"

namespace imgrec {

/// "500ms", "30s", "15m", "2h", "7d", "1.5s"; a plain number is seconds. Nothing when it is none of these, has a
/// fraction of a millisecond, or is longer than a century.
std::optional<Millis> parse_duration(std::string_view text);

/// The shortest exact form: "1500ms", "30s", "15m"; parse_duration reads it back.
std::string format_duration(Millis duration);

/// "10s", or a range: "8s..15s". Nothing when an end is no duration, or the second is below the first.
std::optional<DurationRange> parse_duration_range(std::string_view text);

/// "10s" or "8s..15s"; parse_duration_range reads it back.
std::string format_duration_range(const DurationRange& range);

/// "20MiB", "20MB", "512KiB", "1.5GiB", "4096B"; a plain number is bytes. Nothing when it is none of these or has a
/// fraction of a byte.
std::optional<std::uint64_t> parse_size(std::string_view text);

/// The shortest exact form in binary units: "20MiB", "1000B"; parse_size reads it back.
std::string format_size(std::uint64_t bytes);

/// "c7i.large=0.0893,c7a.large=0.0821": dollars an hour, from 0 to a million, by instance type. Nothing when it is
/// none, or names a type twice.
std::optional<std::map<std::string, double>> parse_prices(std::string_view text);

/// parse_prices reads it back.
std::string format_prices(const std::map<std::string, double>& prices);

/// The shortest form that reads back as the same number.
std::string format_fraction(double value);

/// A whole decimal number with nothing around it.
std::optional<std::int64_t> parse_whole(std::string_view text);

}  // namespace imgrec
