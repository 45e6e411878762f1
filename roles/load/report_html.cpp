#include <algorithm>
#include <cmath>
#include <limits>

#include "lib/report/page.hpp"
#include "roles/load/report.hpp"

namespace imgrec::load {
namespace {

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();
constexpr std::size_t kSlicesMax = 600;  // of the time axis: one a second, or fewer
constexpr std::size_t kTableRowsMax = 1'000;
constexpr std::size_t kDecisionsShown = 500;

// One stretch of the time axis, with what ended in it.
struct Slice {
  double begin_s = 0;
  std::uint64_t images = 0, failed = 0;
  std::vector<double> latencies{};
};

std::vector<Slice> slices_of(const LoadReport& report, double duration_s, double& slice_s) {
  slice_s = std::max(1.0, std::ceil(duration_s / static_cast<double>(kSlicesMax)));
  std::vector<Slice> slices(static_cast<std::size_t>(duration_s / slice_s) + 1);
  for (std::size_t i = 0; i < slices.size(); ++i) slices[i].begin_s = slice_s * static_cast<double>(i);
  for (const LoadRecord& record : report.result.records) {
    Slice& slice = slices[std::min(static_cast<std::size_t>(record.ended_s / slice_s), slices.size() - 1)];
    slice.images += record.ok;
    if (record.is_ok()) {
      slice.latencies.push_back(record.latency_s());
    } else {
      ++slice.failed;
    }
  }
  for (Slice& slice : slices) std::ranges::sort(slice.latencies);
  return slices;
}

template <class Item, class Value>
PlotLine line_of(const std::vector<Item>& items, const char* name, char style, const Value& point) {
  PlotLine line{.name = name, .style = style, .points = {}};
  line.points.reserve(items.size());
  for (const Item& item : items) line.points.push_back(point(item));
  return line;
}

PlotLine service_line(const ServiceSeen& seen, const char* name, char style,
                      std::optional<double> ServiceSample::* value) {
  return line_of(seen.drawn(), name, style, [&](const ServiceSample& sample) {
    return PlotPoint{sample.at_s, (sample.*value).value_or(kUnknown)};
  });
}

// What has grown since the first sample, as the summary counts it.
PlotLine growth_line(const ServiceSeen& seen, const char* name, std::optional<double> ServiceSample::* value) {
  std::optional<double> first;
  for (const ServiceSample& sample : seen.drawn()) {
    if (!first) first = sample.*value;
  }
  return line_of(seen.drawn(), name, 'c', [&](const ServiceSample& sample) {
    return PlotPoint{sample.at_s, sample.*value ? *(sample.*value) - *first : kUnknown};
  });
}

PlotPoint latency_point(const Slice& slice, double slice_s, double share) {
  const Latencies latencies{slice.latencies};
  return {slice.begin_s + slice_s / 2, latencies.at(share).value_or(kUnknown)};
}

std::vector<Plot> plots_of(const LoadReport& report, double duration_s) {
  double slice_s = 1;
  const std::vector<Slice> slices = slices_of(report, std::min(duration_s, report.result.duration_s), slice_s);
  const ServiceSeen& seen = report.service;
  std::vector<Plot> plots;
  if (!seen.samples.empty()) {
    plots.push_back({"queue, images",
                     {service_line(seen, "visible", 'a', &ServiceSample::visible),
                      service_line(seen, "in flight", 'b', &ServiceSample::in_flight)}});
    plots.push_back({"machines",
                     {service_line(seen, "booting", 'b', &ServiceSample::booting),
                      service_line(seen, "ready", 'a', &ServiceSample::ready),
                      service_line(seen, "busy", 'c', &ServiceSample::busy),
                      service_line(seen, "draining", 'd', &ServiceSample::draining)}});
  }
  plots.push_back({"images a second",
                   {line_of(slices, "answered", 'c',
                            [&](const Slice& slice) {
                              return PlotPoint{slice.begin_s + slice_s / 2,
                                               static_cast<double>(slice.images) / slice_s};
                            }),
                    line_of(slices, "failed", 'b', [&](const Slice& slice) {
                      return PlotPoint{slice.begin_s + slice_s / 2, static_cast<double>(slice.failed) / slice_s};
                    })}});
  plots.push_back(
      {"waiting time, s",
       {line_of(slices, "p50", 'a', [&](const Slice& slice) { return latency_point(slice, slice_s, 0.5); }),
        line_of(slices, "p95", 'b', [&](const Slice& slice) { return latency_point(slice, slice_s, 0.95); })}});
  if (seen.dollars().value_or(0) > 0) {
    plots.push_back({"dollars", {growth_line(seen, "dollars", &ServiceSample::dollars)}});
  } else if (seen.machine_seconds()) {  // nobody has said what a machine costs
    plots.push_back({"machine-seconds", {growth_line(seen, "machine-seconds", &ServiceSample::machine_seconds)}});
  }
  return plots;
}

// All lines of a plot have the same instants.
std::string table_of(const Plot& plot) {
  std::vector<std::vector<std::string>> rows = {{"time"}};
  for (const PlotLine& line : plot.lines) rows.front().push_back(line.name);
  const std::vector<PlotPoint>& points = plot.lines.front().points;
  const std::size_t step = std::max<std::size_t>(1, (points.size() + kTableRowsMax - 1) / kTableRowsMax);
  for (std::size_t i = 0; i < points.size(); i += step) {
    std::vector<std::string> row = {decimal(points[i].at_s) + " s"};
    for (const PlotLine& line : plot.lines) {
      const double value = line.points[i].value;
      row.push_back(std::isnan(value) ? "" : decimal(value, value == std::floor(value) ? 0 : value < 0.1 ? 6 : 3));
    }
    rows.push_back(std::move(row));
  }
  return join({"<details><summary>Table: ", html_escaped(plot.title), "</summary>",
               html_table(rows, "Table: " + plot.title, 0), "</details>\n"});
}

std::string decision_text(const ServiceDecision& decision) {
  std::string text = decimal(decision.at_s) + " s";
  if (decision.wanted) text += ", wanted " + decimal(*decision.wanted, 0);
  if (decision.launch > 0) text += ", +" + std::to_string(decision.launch);
  if (decision.end > 0) text += ", -" + std::to_string(decision.end);
  return text + ": " + decision.why;
}

std::string decisions_of(const ServiceSeen& seen, std::vector<PlotMark>& marks) {
  if (seen.decisions.empty()) return "";
  std::string out = "<h2>Scaling decisions</h2><ul>";
  for (std::size_t i = 0; i < std::min(seen.decisions.size(), kDecisionsShown); ++i) {
    const ServiceDecision& decision = seen.decisions[i];
    marks.push_back({.at_s = decision.at_s,
                     .kind = decision.launch > 0 ? MarkKind::more : MarkKind::fewer,
                     .text = decision_text(decision)});
    out += join({"<li>", html_escaped(decision_text(decision)), "</li>"});
  }
  return out + "</ul>";
}

}  // namespace

std::string to_html(const LoadReport& report) {
  double duration_s = std::max(1.0, report.result.duration_s);
  if (!report.service.samples.empty()) duration_s = std::max(duration_s, report.service.samples.back().at_s);
  std::vector<std::vector<std::string>> rows = {{"figure", "value"}};
  for (auto& row : summary_rows(report)) rows.push_back(std::move(row));
  for (const std::string& condition : report.failed_conditions) rows.push_back({"not fulfilled", condition});
  std::vector<PlotMark> marks;
  const std::string decisions = decisions_of(report.service, marks);
  const std::vector<Plot> plots = plots_of(report, duration_s);
  std::string out = page_begin("imgrec load") + "<p>" +
                    html_escaped(report.plan.target.origin() + report.plan.target.path) + "</p>" +
                    html_table(rows, "Figures", 2) + "<h2>Over time</h2>";
  out += draw_plots(plots, marks,
                    {.duration_s = duration_s,
                     .description = "Queue, machines, images a second, waiting time and cost over time; each is "
                                    "also a table below",
                     .marks_title = marks.empty() ? "" : "scaling decisions",
                     .marks_through = true});
  for (const Plot& plot : plots) out += table_of(plot);
  return out + decisions + page_end();
}

}  // namespace imgrec::load
