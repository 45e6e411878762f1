#include "lib/arrivals/trace.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <optional>

#include "lib/base/text.hpp"

namespace imgrec {
namespace {

constexpr std::size_t kRowsMax = 10'000'000;
constexpr double kCountMax = 1e9;

std::optional<double> number(std::string_view text) {
  text = trim(text);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !(value >= 0)) return std::nullopt;
  return value;
}

}  // namespace

Result<Trace> parse_trace(const std::string& text, const std::string& shown) {
  std::size_t line_number = 0;
  const auto bad = [&](const std::string& what) {
    return fail(ErrorKind::invalid, "bad_trace", shown + ":" + std::to_string(line_number) + ": " + what);
  };
  Trace trace{.name = std::filesystem::path(shown).stem().string(), .rows = {}};
  bool has_count = false;
  for (const std::string_view line : split(text, '\n')) {
    ++line_number;
    const auto cells = split(trim(line), ',');
    if (line_number == 1) {
      has_count = cells.size() == 2 && trim(cells[1]) == "count";
      if (trim(cells[0]) != "at_s" || (cells.size() != 1 && !has_count)) {
        return bad("a trace begins with the line \"at_s\" or \"at_s,count\".");
      }
      continue;
    }
    if (trim(line).empty()) continue;
    const auto at = number(cells[0]);
    const auto count = has_count && cells.size() == 2 ? number(cells[1]) : std::optional<double>(1);
    if (!at || !count || *count > kCountMax || cells.size() != (has_count ? 2U : 1U)) {
      return bad(has_count ? "give seconds and a count, such as 300,56." : "give seconds, such as 4.315.");
    }
    if (!trace.rows.empty()) {
      if (*at < trace.rows.back().from_s) return bad("this row is earlier than the one before.");
      trace.rows.back().to_s = *at;
    }
    if (trace.rows.size() == kRowsMax) return bad("a trace has at most " + std::to_string(kRowsMax) + " rows.");
    trace.rows.push_back({.from_s = *at, .to_s = *at, .count = *count});
  }
  if (trace.rows.empty()) return bad("there is no row.");
  if (trace.rows.size() > 1) {
    TraceRow& last = trace.rows.back();
    const TraceRow& before = trace.rows[trace.rows.size() - 2];
    last.to_s = last.from_s + (before.to_s - before.from_s);
  }
  return trace;
}

void spread_trace(const Trace& trace, double scale, std::uint64_t group, Rng& rng,
                  const std::function<void(double at_s, std::uint64_t images)>& add) {
  std::uint64_t left = 0;  // of earlier rows, too few for a group
  for (const TraceRow& row : trace.rows) {
    const double scaled = row.count * scale;
    const double whole = std::floor(scaled);
    left += static_cast<std::uint64_t>(whole) + (rng.next_unit() < scaled - whole ? 1 : 0);
    const bool spread = row.count * scale > 1 || row.count != 1;
    for (; left >= group; left -= group) {
      add(spread ? row.from_s + rng.next_unit() * (row.to_s - row.from_s) : row.from_s, group);
    }
  }
  if (left > 0) add(trace.rows.back().from_s, left);
}

}  // namespace imgrec
