#include "roles/simulate/report_html.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "lib/report/page.hpp"

namespace imgrec::simulate {
namespace {

constexpr std::size_t kDecisionsShown = 100;

template <class Value>
PlotLine line_of(const Recording& recording, const char* name, char style, const Value& value) {
  PlotLine line{.name = name, .style = style, .points = {}};
  line.points.reserve(recording.samples.size());
  for (const Recording::Sample& sample : recording.samples) {
    const auto here = static_cast<double>(value(sample));  // negative: nothing there
    line.points.push_back({sample.at_s, here < 0 ? std::numeric_limits<double>::quiet_NaN() : here});
  }
  return line;
}

std::vector<Plot> plots_of(const Recording& recording) {
  using Sample = Recording::Sample;
  const auto line = [&](const char* name, char style, const auto& value) {
    return line_of(recording, name, style, value);
  };
  return {{"images",
           {line("visible", 'a', [](const Sample& s) { return s.visible; }),
            line("in flight", 'b', [](const Sample& s) { return s.in_flight; })}},
          {"machines",
           {line("working", 'c', [](const Sample& s) { return s.working; }),
            line("booting", 'b', [](const Sample& s) { return s.booting; }),
            line("ending", 'd', [](const Sample& s) { return s.ending; }),
            line("wanted", 'a', [](const Sample& s) { return s.wanted; })}},
          {"wait, s (p95)", {line("wait", 'a', [](const Sample& s) { return s.wait_p95_s; })}},
          {"dollars", {line("dollars", 'c', [](const Sample& s) { return s.dollars; })}}};
}

std::string draw(const Recording& recording, const std::string& policy) {
  const double duration_s = recording.samples.empty() ? 1 : std::max(1.0, recording.samples.back().at_s);
  std::vector<PlotMark> marks;
  for (const auto& decision : recording.decisions) {
    marks.push_back({.at_s = decision.at_s,
                     .kind = decision.launch > 0 ? MarkKind::more : MarkKind::fewer,
                     .text = join({clock_text(decision.at_s), " +", std::to_string(decision.launch), " -",
                                   std::to_string(decision.end), ": ", decision.why})});
  }
  return draw_plots(plots_of(recording), marks,
                    {.duration_s = duration_s,
                     .description = "Images, machines, waiting time and dollars over time: " + policy,
                     .marks_title = "decisions"});
}

std::string list_decisions(const Recording& recording) {
  if (recording.decisions.empty()) return "";
  std::string out = "<details><summary>decisions</summary><ul>";
  for (std::size_t i = 0; i < std::min(recording.decisions.size(), kDecisionsShown); ++i) {
    const auto& decision = recording.decisions[i];
    out += join({"<li>", clock_text(decision.at_s), " wanted ", std::to_string(decision.wanted), " (+",
                 std::to_string(decision.launch), ", -", std::to_string(decision.end),
                 "): ", html_escaped(decision.why), "</li>"});
  }
  return out + "</ul></details>";
}

}  // namespace

std::string to_html(const std::vector<ReportPart>& parts) {
  std::string out = page_begin("imgrec simulate");
  for (const ReportPart& part : parts) {
    const std::string name = part.course.scenario.name + ", " + part.course.kind.name + " workers";
    out += join({"<h2>", html_escaped(name), "</h2><p>", html_escaped(part.course.scenario.about), "</p>",
                 html_table(to_table(part.summaries), name, 3)});
    for (std::size_t i = 0; i < part.recordings.size(); ++i) {
      const std::string& policy = part.summaries[i].policy;
      out += join({"<details", i == 0 ? " open" : "", "><summary>", html_escaped(policy), "</summary>",
                   draw(part.recordings[i], policy), list_decisions(part.recordings[i]), "</details>\n"});
    }
  }
  return out + page_end();
}

}  // namespace imgrec::simulate
