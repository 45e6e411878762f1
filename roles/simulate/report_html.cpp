#include "roles/simulate/report_html.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <initializer_list>
#include <string_view>

namespace imgrec::simulate {
namespace {

constexpr double kWidth = 900, kLeft = 64, kPanel = 96, kGap = 26;
constexpr std::size_t kDecisionsShown = 100;

constexpr auto kHead = R"(<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>imgrec simulate</title><style>
:root{color-scheme:light dark;--paper:#fff;--ink:#1b1f24;--faint:#d9dde2;--soft:#656d76;
--a:#0969da;--b:#bf5b00;--c:#1a7f37;--d:#8250df}
@media(prefers-color-scheme:dark){:root{--paper:#14171c;--ink:#e3e7ec;--faint:#343b44;--soft:#97a1ac;
--a:#58a6ff;--b:#f0a35e;--c:#4ac26b;--d:#be8fff}}
body{background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif;max-width:1000px;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;display:block;overflow-x:auto}
td,th{padding:.15rem .6rem;text-align:right;border-bottom:1px solid var(--faint);white-space:nowrap}
td:nth-child(-n+3),th:nth-child(-n+3){text-align:left}
svg{width:100%;height:auto}svg text{fill:var(--soft);font:11px system-ui,sans-serif}
.axis{stroke:var(--faint)}polyline{fill:none;stroke-width:1.4}
.a{stroke:var(--a)}.b{stroke:var(--b)}.c{stroke:var(--c)}.d{stroke:var(--d)}
svg .ta{fill:var(--a)}svg .tb{fill:var(--b)}svg .tc{fill:var(--c)}svg .td{fill:var(--d)}
.out{stroke:var(--c);stroke-width:2}.in{stroke:var(--b);stroke-width:2}
summary{cursor:pointer;font-weight:600;margin:.6rem 0}li{font-size:13px}
</style></head><body><h1>imgrec simulate</h1>
)";

std::string escaped(std::string_view text) {
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

std::string number(double value, int digits = 1) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

std::string readable_time(double seconds) {
  const auto whole = static_cast<long long>(seconds);
  char text[64];
  if (whole >= 24 * 3600) {
    std::snprintf(text, sizeof text, "%lldd %02lld:%02lld", whole / 86400, whole / 3600 % 24, whole / 60 % 60);
  } else {
    std::snprintf(text, sizeof text, "%lld:%02lld:%02lld", whole / 3600, whole / 60 % 60, whole % 60);
  }
  return text;
}

struct Series {
  const char* name;
  char style;
  std::function<double(const Recording::Sample&)> value;  // negative: nothing there
};

struct Panel {
  const char* title;
  std::vector<Series> series;
};

const std::vector<Panel>& panels() {
  using Sample = Recording::Sample;
  static const std::vector<Panel> kPanels = {
      {"images",
       {{"visible", 'a', [](const Sample& s) { return static_cast<double>(s.visible); }},
        {"in flight", 'b', [](const Sample& s) { return static_cast<double>(s.in_flight); }}}},
      {"machines",
       {{"working", 'c', [](const Sample& s) { return s.working; }},
        {"booting", 'b', [](const Sample& s) { return s.booting; }},
        {"ending", 'd', [](const Sample& s) { return s.ending; }},
        {"wanted", 'a', [](const Sample& s) { return s.wanted; }}}},
      {"wait, s (p95)", {{"wait", 'a', [](const Sample& s) { return s.wait_p95_s; }}}},
      {"dollars", {{"dollars", 'c', [](const Sample& s) { return s.dollars; }}}}};
  return kPanels;
}

std::string join(std::initializer_list<std::string_view> pieces) {
  std::string out;
  for (const std::string_view piece : pieces) out += piece;
  return out;
}

std::string draw_panel(const Panel& panel, const Recording& recording, double top, double duration_s) {
  double highest = 0;
  for (const Series& series : panel.series) {
    for (const auto& sample : recording.samples) highest = std::max(highest, series.value(sample));
  }
  if (highest <= 0) highest = 1;
  const double bottom = top + kPanel;
  std::string out = join({"<line class=\"axis\" x1=\"", number(kLeft), "\" x2=\"", number(kWidth), "\" y1=\"",
                          number(bottom), "\" y2=\"", number(bottom), "\"/>"});
  out += join({"<text x=\"0\" y=\"", number(top + 10), "\">", number(highest, highest < 10 ? 3 : 0), "</text>"});
  out += join({"<text x=\"0\" y=\"", number(bottom), "\">0</text>"});
  double text_x = kLeft;
  out += join({"<text x=\"", number(text_x), "\" y=\"", number(top - 4), "\">", panel.title, "</text>"});
  text_x += 100;
  for (const Series& series : panel.series) {
    if (panel.series.size() > 1) {
      out += join({"<text class=\"t",
                   {&series.style, 1},
                   "\" x=\"",
                   number(text_x),
                   "\" y=\"",
                   number(top - 4),
                   "\">",
                   series.name,
                   "</text>"});
      text_x += 70;
    }
    std::string points;
    const auto end_line = [&] {
      if (!points.empty()) out += join({"<polyline class=\"", {&series.style, 1}, "\" points=\"", points, "\"/>"});
      points.clear();
    };
    for (const auto& sample : recording.samples) {
      const double value = series.value(sample);
      if (value < 0) {
        end_line();
        continue;
      }
      points += join({number(kLeft + sample.at_s / duration_s * (kWidth - kLeft)), ",",
                      number(bottom - value / highest * kPanel), " "});
    }
    end_line();
  }
  return out;
}

std::string draw_decisions(const Recording& recording, double top, double duration_s) {
  std::string out = join({"<text x=\"", number(kLeft), "\" y=\"", number(top - 4), "\">decisions</text>"});
  for (const auto& decision : recording.decisions) {
    const std::string x = number(kLeft + decision.at_s / duration_s * (kWidth - kLeft));
    out += join({"<line class=\"", (decision.launch > 0 ? "out" : "in"), "\" x1=\"", x, "\" x2=\"", x, "\" y1=\"",
                 number(top), "\" y2=\"", number(top + 14), "\"><title>", readable_time(decision.at_s), " +",
                 std::to_string(decision.launch), " -", std::to_string(decision.end), ": ", escaped(decision.why),
                 "</title></line>"});
  }
  for (int i = 0; i <= 6; ++i) {
    const double at_s = duration_s * i / 6;
    out += join({"<text text-anchor=\"",
                 (i == 6   ? "end"
                  : i == 0 ? "start"
                           : "middle"),
                 "\" x=\"", number(kLeft + (kWidth - kLeft) * i / 6), "\" y=\"", number(top + 30), "\">",
                 readable_time(at_s), "</text>"});
  }
  return out;
}

std::string draw(const Recording& recording) {
  const double duration_s = recording.samples.empty() ? 1 : std::max(1.0, recording.samples.back().at_s);
  const auto count = static_cast<double>(panels().size());
  const double height = kGap + count * (kPanel + kGap) + 40;
  std::string out = join({"<svg viewBox=\"0 0 ", number(kWidth), " ", number(height), "\" role=\"img\">"});
  double top = kGap;
  for (const Panel& panel : panels()) {
    out += draw_panel(panel, recording, top, duration_s);
    top += kPanel + kGap;
  }
  return out + draw_decisions(recording, top, duration_s) + "</svg>";
}

std::string list_decisions(const Recording& recording) {
  if (recording.decisions.empty()) return "";
  std::string out = "<details><summary>decisions</summary><ul>";
  for (std::size_t i = 0; i < std::min(recording.decisions.size(), kDecisionsShown); ++i) {
    const auto& decision = recording.decisions[i];
    out += join({"<li>", readable_time(decision.at_s), " wanted ", std::to_string(decision.wanted), " (+",
                 std::to_string(decision.launch), ", -", std::to_string(decision.end), "): ", escaped(decision.why),
                 "</li>"});
  }
  return out + "</ul></details>";
}

std::string table_of(const std::vector<Summary>& summaries) {
  std::string out = "<table>";
  const char* cell = "th";
  for (const auto& row : to_table(summaries)) {
    out += "<tr>";
    for (const std::string& text : row) out += join({"<", cell, ">", escaped(text), "</", cell, ">"});
    out += "</tr>";
    cell = "td";
  }
  return out + "</table>\n";
}

}  // namespace

std::string to_html(const std::vector<ReportPart>& parts) {
  std::string out = kHead;
  for (const ReportPart& part : parts) {
    out += join({"<h2>", escaped(part.course.scenario.name), ", ", part.course.kind.name, " workers</h2><p>",
                 escaped(part.course.scenario.about), "</p>", table_of(part.summaries)});
    for (std::size_t i = 0; i < part.recordings.size(); ++i) {
      out += join({"<details", i == 0 ? " open" : "", "><summary>", escaped(part.summaries[i].policy), "</summary>",
                   draw(part.recordings[i]), list_decisions(part.recordings[i]), "</details>\n"});
    }
  }
  return out + "</body></html>\n";
}

}  // namespace imgrec::simulate
