#include "lib/config/values.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "lib/base/text.hpp"

namespace imgrec {
namespace {

constexpr double kDollarsMax = 1e6;  // an hour

constexpr std::int64_t kScaledMax = std::int64_t{1} << 52;  // 100 years in ms and 4 PiB in bytes both lie below

struct Unit {
  std::string_view name;
  std::int64_t factor;
};

constexpr std::array<Unit, 6> kDurationUnits = {
    {{"d", 86'400'000}, {"h", 3'600'000}, {"min", 60'000}, {"m", 60'000}, {"s", 1'000}, {"ms", 1}}};
constexpr std::array<Unit, 7> kSizeUnits = {{{"gib", 1 << 30},
                                             {"mib", 1 << 20},
                                             {"kib", 1 << 10},
                                             {"gb", 1'000'000'000},
                                             {"mb", 1'000'000},
                                             {"kb", 1'000},
                                             {"b", 1}}};

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// digits[.digits] times factor, exactly; nothing when it is no such number, too large, or not whole in the end.
std::optional<std::int64_t> scale_exactly(std::string_view number, std::int64_t factor) {
  const std::size_t point = number.find('.');
  const std::string_view whole = number.substr(0, point);
  const std::string_view fraction = point == std::string_view::npos ? std::string_view("0") : number.substr(point + 1);
  if (whole.empty() || fraction.empty() || whole.size() > 16 || fraction.size() > 9) return std::nullopt;
  std::int64_t value = 0;
  for (const char c : whole) {
    if (!is_digit(c)) return std::nullopt;
    value = value * 10 + (c - '0');
  }
  if (value > kScaledMax / factor) return std::nullopt;
  value *= factor;
  std::int64_t numerator = 0, denominator = 1;
  for (const char c : fraction) {
    if (!is_digit(c)) return std::nullopt;
    numerator = numerator * 10 + (c - '0');
    denominator *= 10;
  }
  // factor is below 2^30 and numerator below 10^9: the product fits.
  if (numerator * factor % denominator != 0) return std::nullopt;
  value += numerator * factor / denominator;
  return value <= kScaledMax ? std::optional(value) : std::nullopt;
}

template <std::size_t N>
std::optional<std::int64_t> parse_scaled(std::string_view text, const std::array<Unit, N>& units,
                                         std::int64_t plain_factor) {
  text = trim(text);
  std::size_t length = 0;
  while (length < text.size() && (is_digit(text[length]) || text[length] == '.')) ++length;
  const std::string unit = to_lower(trim(text.substr(length)));
  if (unit.empty()) return scale_exactly(text.substr(0, length), plain_factor);
  for (const Unit& known : units) {
    if (unit == known.name) return scale_exactly(text.substr(0, length), known.factor);
  }
  return std::nullopt;
}

}  // namespace

std::optional<Millis> parse_duration(std::string_view text) {
  const auto ms = parse_scaled(text, kDurationUnits, 1'000);
  constexpr std::int64_t kCenturyMs = 36'525LL * 86'400'000;
  if (!ms || *ms > kCenturyMs) return std::nullopt;
  return Millis(*ms);
}

std::string format_duration(Millis duration) {
  const std::int64_t ms = duration.count();
  if (ms == 0) return "0s";
  for (const Unit& unit : kDurationUnits) {
    if (unit.name != "min" && ms % unit.factor == 0) return std::to_string(ms / unit.factor) + std::string(unit.name);
  }
  return std::to_string(ms) + "ms";
}

std::string format_fraction(double value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  return {text, end};
}

std::optional<std::map<std::string, double>> parse_prices(std::string_view text) {
  std::map<std::string, double> prices;
  if (trim(text).empty()) return prices;
  for (const std::string_view piece : split(text, ',')) {
    const std::string_view one = trim(piece);
    const std::size_t equals = one.find('=');
    if (equals == one.npos) return std::nullopt;
    const std::string_view type = trim(one.substr(0, equals)), number = trim(one.substr(equals + 1));
    const bool is_type = type.size() <= 64 && type.find('.') != type.npos && std::ranges::all_of(type, [](char c) {
                           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
                         });
    double dollars = -1;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), dollars);
    const bool is_number = error == std::errc() && end == number.data() + number.size();
    if (!is_type || !is_number || !(dollars >= 0 && dollars <= kDollarsMax)) return std::nullopt;
    if (!prices.emplace(type, dollars).second) return std::nullopt;
  }
  return prices;
}

std::string format_prices(const std::map<std::string, double>& prices) {
  std::string text;
  for (const auto& [type, dollars] : prices) {
    if (!text.empty()) text += ',';
    text += type + "=" + format_fraction(dollars);
  }
  return text;
}

std::optional<DurationRange> parse_duration_range(std::string_view text) {
  const std::size_t dots = text.find("..");
  const auto min = parse_duration(text.substr(0, dots));
  const auto max = dots == text.npos ? min : parse_duration(text.substr(dots + 2));
  if (!min || !max || *max < *min) return std::nullopt;
  return DurationRange{*min, *max};
}

std::string format_duration_range(const DurationRange& range) {
  const std::string min = format_duration(range.min);
  return range.min == range.max ? min : min + ".." + format_duration(range.max);
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
  const auto bytes = parse_scaled(text, kSizeUnits, 1);
  if (!bytes) return std::nullopt;
  return static_cast<std::uint64_t>(*bytes);
}

std::string format_size(std::uint64_t bytes) {
  constexpr std::array<std::pair<std::string_view, std::uint64_t>, 3> kBinary = {
      {{"GiB", 1ULL << 30}, {"MiB", 1ULL << 20}, {"KiB", 1ULL << 10}}};
  for (const auto& [name, factor] : kBinary) {
    if (bytes != 0 && bytes % factor == 0) return std::to_string(bytes / factor) + std::string(name);
  }
  return std::to_string(bytes) + "B";
}

std::optional<std::int64_t> parse_whole(std::string_view text) {
  text = trim(text);
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace imgrec
