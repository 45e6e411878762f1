#include "lib/report/page.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace imgrec {
namespace {

constexpr double kWidth = 900, kLeft = 64, kPanel = 96, kGap = 26, kAxisHeight = 40, kTimeWidth = 50;
constexpr double kTimesMax = 7;  // that are written below the axis
constexpr double kDayS = 86'400;
constexpr double kTimeSteps[] = {1,   2,   5,     10,    15,    30,     60,     120,    300,
                                 600, 900, 1'800, 3'600, 7'200, 14'400, 21'600, 43'200, kDayS};

constexpr std::string_view kStyle = R"(
:root{color-scheme:light dark;--paper:#fff;--ink:#1b1f24;--faint:#d9dde2;--soft:#656d76;
--a:#0969da;--b:#bf5b00;--c:#1a7f37;--d:#8250df}
@media(prefers-color-scheme:dark){:root{--paper:#14171c;--ink:#e3e7ec;--faint:#343b44;--soft:#97a1ac;
--a:#58a6ff;--b:#f0a35e;--c:#4ac26b;--d:#be8fff}}
body{background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif;max-width:1000px;margin:2rem auto;padding:0 1rem}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
td,th{padding:.15rem .6rem;text-align:right;border-bottom:1px solid var(--faint);white-space:nowrap}
td.text,th.text{text-align:left}
svg{width:100%;height:auto}svg text{fill:var(--soft);font:11px system-ui,sans-serif}
.axis{stroke:var(--faint)}.through{stroke:var(--faint);stroke-dasharray:2 3}polyline{fill:none;stroke-width:1.4}
.a{stroke:var(--a)}.b{stroke:var(--b)}.c{stroke:var(--c)}.d{stroke:var(--d)}
svg .ta{fill:var(--a)}svg .tb{fill:var(--b)}svg .tc{fill:var(--c)}svg .td{fill:var(--d)}
.more{stroke:var(--c);stroke-width:2}.fewer{stroke:var(--b);stroke-width:2}
summary{cursor:pointer;font-weight:600;margin:.6rem 0}li{font-size:13px}
)";

double x_of(double at_s, const PlotsOptions& options) {
  return kLeft + at_s / options.duration_s * (kWidth - kLeft);
}

// Seconds between the times below the axis: round ones.
double time_step(double duration_s) {
  for (const double step_s : kTimeSteps) {
    if (duration_s / step_s <= kTimesMax) return step_s;
  }
  return kDayS * std::ceil(duration_s / kDayS / kTimesMax);
}

std::string text_at(double x, double y, std::string_view text, std::string_view more = "") {
  return join({"<text", more, " x=\"", decimal(x), "\" y=\"", decimal(y), "\">", html_escaped(text), "</text>"});
}

std::string upright(std::string_view style, double x, double top, double bottom) {
  return join({"<line class=\"", style, "\" x1=\"", decimal(x), "\" x2=\"", decimal(x), "\" y1=\"", decimal(top),
               "\" y2=\"", decimal(bottom), "\""});
}

std::string draw_line(const PlotLine& line, double bottom, double highest, const PlotsOptions& options) {
  std::string out, points;
  const auto end_line = [&] {
    if (!points.empty()) out += join({"<polyline class=\"", {&line.style, 1}, "\" points=\"", points, "\"/>"});
    points.clear();
  };
  for (const PlotPoint& point : line.points) {
    if (std::isnan(point.value)) {
      end_line();
      continue;
    }
    points += join({decimal(x_of(point.at_s, options)), ",", decimal(bottom - point.value / highest * kPanel), " "});
  }
  end_line();
  return out;
}

// Of the axis: whole numbers as they are, others with three digits that matter.
std::string axis_text(double value) {
  if (value >= 100 || value == std::floor(value)) return decimal(value, 0);
  return decimal(value, std::max(0, 2 - static_cast<int>(std::floor(std::log10(value)))));
}

std::string draw_plot(const Plot& plot, double top, const PlotsOptions& options) {
  double highest = 0;
  for (const PlotLine& line : plot.lines) {
    for (const PlotPoint& point : line.points) {
      if (!std::isnan(point.value)) highest = std::max(highest, point.value);
    }
  }
  if (highest <= 0) highest = 1;
  const double bottom = top + kPanel;
  std::string out = join({"<line class=\"axis\" x1=\"", decimal(kLeft), "\" x2=\"", decimal(kWidth), "\" y1=\"",
                          decimal(bottom), "\" y2=\"", decimal(bottom), "\"/>"});
  out += text_at(0, top + 10, axis_text(highest)) + text_at(0, bottom, "0");
  out += text_at(kLeft, top - 4, plot.title);
  double text_x = kLeft + 130;
  for (const PlotLine& line : plot.lines) {
    if (plot.lines.size() > 1) {
      out += text_at(text_x, top - 4, line.name, join({" class=\"t", {&line.style, 1}, "\""}));
      text_x += 70;
    }
    out += draw_line(line, bottom, highest, options);
  }
  return out;
}

std::string draw_marks(std::span<const PlotMark> marks, double top, const PlotsOptions& options) {
  std::string out = text_at(kLeft, top - 4, options.marks_title);
  for (const PlotMark& mark : marks) {
    const double x = x_of(mark.at_s, options);
    if (options.marks_through) out += upright("through", x, kGap, top) + "/>";
    out += join({upright(mark.kind == MarkKind::more ? "more" : "fewer", x, top, top + 14), "><title>",
                 html_escaped(mark.text), "</title></line>"});
  }
  const double step_s = time_step(options.duration_s);
  for (int i = 0; i * step_s <= options.duration_s; ++i) {
    const double at_s = i * step_s;
    const double x = x_of(at_s, options);
    const std::string_view anchor = i == 0 ? "start" : x > kWidth - kTimeWidth / 2 ? "end" : "middle";
    out += text_at(x, top + 30, clock_text(at_s), join({" text-anchor=\"", anchor, "\""}));
  }
  return out;
}

}  // namespace

std::string draw_plots(std::span<const Plot> plots, std::span<const PlotMark> marks, const PlotsOptions& options) {
  const double height = kGap + static_cast<double>(plots.size()) * (kPanel + kGap) + kAxisHeight;
  std::string out = join({"<svg viewBox=\"0 0 ", decimal(kWidth), " ", decimal(height), "\" role=\"img\" aria-label=\"",
                          html_escaped(options.description), "\">"});
  double top = kGap;
  for (const Plot& plot : plots) {
    out += draw_plot(plot, top, options);
    top += kPanel + kGap;
  }
  return out + draw_marks(marks, top, options) + "</svg>";
}

std::string html_table(const std::vector<std::vector<std::string>>& rows, std::string_view name, int text_columns) {
  std::string out =
      join({"<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"", html_escaped(name), "\"><table>"});
  std::string_view cell = "th";
  for (const auto& row : rows) {
    out += "<tr>";
    int column = 0;
    for (const std::string& text : row) {
      out += join({"<", cell, column++ < text_columns ? " class=\"text\">" : ">", html_escaped(text), "</", cell, ">"});
    }
    out += "</tr>";
    cell = "td";
  }
  return out + "</table></div>\n";
}

std::string page_begin(std::string_view title) {
  constexpr std::string_view kHead =
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width\">\n<title>";
  const std::string shown = html_escaped(title);
  return join({kHead, shown, "</title><style>", kStyle, "</style></head><body><main><h1>", shown, "</h1>\n"});
}

std::string page_end() {
  return "</main></body></html>\n";
}

std::string html_escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&quot;";
    else
      out += c;
  }
  return out;
}

std::string clock_text(double seconds) {
  const auto whole = static_cast<long long>(seconds);
  char text[64];
  if (whole >= 24 * 3600) {
    std::snprintf(text, sizeof text, "%lldd %02lld:%02lld", whole / 86400, whole / 3600 % 24, whole / 60 % 60);
  } else {
    std::snprintf(text, sizeof text, "%lld:%02lld:%02lld", whole / 3600, whole / 60 % 60, whole % 60);
  }
  return text;
}

std::string decimal(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

std::string join(std::initializer_list<std::string_view> pieces) {
  std::string out;
  for (const std::string_view piece : pieces) out += piece;
  return out;
}

}  // namespace imgrec
