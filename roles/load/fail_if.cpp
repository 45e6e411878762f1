#include "roles/load/fail_if.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "lib/base/text.hpp"
#include "lib/config/values.hpp"

namespace imgrec::load {
namespace {

enum class Unit { time, share, number };

struct KnownFigure {
  std::string_view name;
  Unit unit;
  std::optional<double> (*value)(const Figures&);
};

template <class T>
std::optional<double> limit_number(T value) {
  return static_cast<double>(value);
}

constexpr std::array<KnownFigure, 14> kFigures = {{
    {"p50", Unit::time, [](const Figures& f) { return f.latencies.at(0.5); }},
    {"p90", Unit::time, [](const Figures& f) { return f.latencies.at(0.9); }},
    {"p95", Unit::time, [](const Figures& f) { return f.latencies.at(0.95); }},
    {"p99", Unit::time, [](const Figures& f) { return f.latencies.at(0.99); }},
    {"p99.9", Unit::time, [](const Figures& f) { return f.latencies.at(0.999); }},
    {"max", Unit::time, [](const Figures& f) { return f.latencies.at(1); }},
    {"mean", Unit::time, [](const Figures& f) { return f.latencies.mean(); }},
    {"first_label", Unit::time, [](const Figures& f) { return f.first_label_s; }},
    {"accuracy", Unit::share, [](const Figures& f) { return f.accuracy; }},
    {"ok", Unit::number, [](const Figures& f) { return limit_number(f.ok); }},
    {"failed", Unit::number, [](const Figures& f) { return limit_number(f.failed); }},
    {"late", Unit::number, [](const Figures& f) { return limit_number(f.late); }},
    {"images_per_s", Unit::number, [](const Figures& f) { return limit_number(f.images_per_s); }},
    {"calls_per_s", Unit::number, [](const Figures& f) { return limit_number(f.calls_per_s); }},
}};

const KnownFigure* find_figure(std::string_view name) {
  const auto found = std::ranges::find(kFigures, name, &KnownFigure::name);
  return found == kFigures.end() ? nullptr : &*found;
}

std::optional<double> plain_number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value) || value < 0) {
    return std::nullopt;
  }
  return value;
}

std::optional<double> limit_of(Unit unit, std::string_view text) {
  if (unit == Unit::time) {
    const auto time = parse_duration(text);
    return time ? std::optional(static_cast<double>(time->count()) / 1000) : std::nullopt;
  }
  if (unit == Unit::share && text.ends_with('%')) {
    const auto percent = plain_number(text.substr(0, text.size() - 1));
    return percent ? std::optional(*percent / 100) : std::nullopt;
  }
  return plain_number(text);
}

}  // namespace

Result<FailIf> parse_fail_if(const std::string& text) {
  const auto bad = [&](const std::string& why) {
    return fail(ErrorKind::invalid, "bad_condition",
                "--fail-if cannot be " + json_quote(text) + ": " + why +
                    ". Write 'p99>2s', 'accuracy<0.99' or 'failed>0', for example.");
  };
  const std::size_t at = text.find_first_of("<>");
  if (at == std::string::npos) return bad("there is no < or >");
  const bool or_equal = at + 1 < text.size() && text[at + 1] == '=';
  FailIf condition{.text = text, .figure = std::string(trim(text.substr(0, at)))};
  if (text[at] == '<') {
    condition.comparison = or_equal ? Comparison::less_or_equal : Comparison::less;
  } else {
    condition.comparison = or_equal ? Comparison::greater_or_equal : Comparison::greater;
  }
  const KnownFigure* figure = find_figure(condition.figure);
  if (figure == nullptr) {
    std::string names;
    for (const KnownFigure& one : kFigures) names += (names.empty() ? "" : ", ") + std::string(one.name);
    return bad("there is no figure " + json_quote(condition.figure) + " (there are " + names + ")");
  }
  const std::string_view value = trim(std::string_view(text).substr(at + (or_equal ? 2 : 1)));
  const auto limit = limit_of(figure->unit, value);
  if (!limit) {
    return bad(json_quote(value) + (figure->unit == Unit::time ? " is no time such as 500ms or 2s" : " is no number"));
  }
  condition.limit = *limit;
  return condition;
}

std::optional<double> figure_of(const Figures& figures, const std::string& name) {
  const KnownFigure* figure = find_figure(name);
  return figure == nullptr ? std::nullopt : figure->value(figures);
}

bool holds(const FailIf& condition, const Figures& figures) {
  const auto value = figure_of(figures, condition.figure);
  if (!value) return true;
  switch (condition.comparison) {
    case Comparison::less: return *value < condition.limit;
    case Comparison::less_or_equal: return *value <= condition.limit;
    case Comparison::greater: return *value > condition.limit;
    case Comparison::greater_or_equal: return *value >= condition.limit;
  }
  return true;
}

}  // namespace imgrec::load
