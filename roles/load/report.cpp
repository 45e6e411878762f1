#include "roles/load/report.hpp"

#include <cmath>
#include <cstdio>

#include "lib/base/json_writer.hpp"

namespace imgrec::load {
namespace {

constexpr std::pair<const char*, double> kShares[] = {{"p50", 0.5},  {"p90", 0.9},     {"p95", 0.95},
                                                      {"p99", 0.99}, {"p99.9", 0.999}, {"max", 1}};

constexpr double kBusyShare = 0.8;

std::string report_number(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

double rounded(double value) {
  return std::round(value * 1e6) / 1e6;
}

void member_or_null(JsonWriter& json, std::string_view name, const std::optional<double>& value) {
  if (value) {
    json.member(name, rounded(*value));
  } else {
    json.member_json(name, "null");
  }
}

// RFC 4180: quotes where a separator, a quote or a line end is inside, and quotes doubled.
void append_csv(std::string& out, std::string_view text) {
  if (text.find_first_of(",\"\r\n") == text.npos) {
    out += text;
    return;
  }
  out += '"';
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  out += '"';
}

std::string model_text(const LoadPlan& plan) {
  if (!plan.open) return "closed, " + std::to_string(plan.concurrency) + " requests at once";
  if (!plan.open->at_s.empty()) return "open, " + std::to_string(plan.open->at_s.size()) + " arrivals of a trace";
  const std::string begin = report_number(plan.open->rate_begin, 1);
  if (plan.open->rate_begin == plan.open->rate_end) return "open, " + begin + " requests/s";
  return "open, " + begin + " to " + report_number(plan.open->rate_end, 1) + " requests/s";
}

void add_service_rows(const LoadReport& report, std::vector<std::vector<std::string>>& rows) {
  const ServiceSeen& service = report.service;
  if (!service.problem.empty()) {
    rows.push_back({"machines", "not known: " + service.problem});
    return;
  }
  if (const auto most = service.machines_max()) rows.push_back({"machines at most", report_number(*most, 0)});
  if (const auto seconds = service.machine_seconds()) {
    std::string text = report_number(*seconds, 1) + " s";
    if (const auto dollars = service.dollars(); dollars && *dollars > 0) text += ", $" + report_number(*dollars, 6);
    rows.push_back({"machine-seconds", text});
  }
}

}  // namespace

std::string readable_seconds(std::optional<double> seconds) {
  if (!seconds) return "-";
  if (*seconds < 0.0995) return report_number(*seconds * 1000, *seconds < 0.00995 ? 2 : 1) + " ms";
  if (*seconds < 0.9995) return report_number(*seconds * 1000, 0) + " ms";
  return report_number(*seconds, *seconds < 99.5 ? 2 : 0) + " s";
}

std::vector<std::vector<std::string>> summary_rows(const LoadReport& report) {
  const Figures& figures = report.figures;
  std::vector<std::vector<std::string>> rows = {
      {"requests", std::to_string(figures.ok) + " ok, " + std::to_string(figures.failed) + " failed"},
      {"model", model_text(report.plan)},
      {"time", readable_seconds(figures.seconds)},
      {"images", std::to_string(figures.images_ok) + " answered, " + report_number(figures.images_per_s, 1) + "/s"},
      {"calls", report_number(figures.calls_per_s, 1) + "/s over " + std::to_string(report.result.connections) +
                    " connections"}};
  std::string latencies;
  for (const auto& [name, share] : kShares) {
    latencies +=
        (latencies.empty() ? "" : "   ") + std::string(name) + " " + readable_seconds(figures.latencies.at(share));
  }
  rows.push_back({"latency", latencies});
  rows.push_back({"first label", readable_seconds(figures.first_label_s)});
  if (figures.accuracy) {
    rows.push_back({"accuracy", report_number(100 * *figures.accuracy, 2) +
                                    " %: " + std::to_string(report.result.correct) + " correct, " +
                                    std::to_string(report.result.wrong) + " wrong"});
  }
  for (const auto& [error, count] : figures.errors) rows.push_back({"error", std::to_string(count) + " " + error});
  if (figures.warmup > 0) rows.push_back({"warm-up", std::to_string(figures.warmup) + " requests, not counted above"});
  if (figures.late > 0 && report.plan.open) {
    rows.push_back({"sent late", std::to_string(figures.late) + ", by up to " + readable_seconds(figures.latest_s) +
                                     " (all " + std::to_string(report.plan.concurrency) +
                                     " connections were busy, or this machine was)"});
  }
  if (const double share = report.result.duration_s > 0 ? report.cpu_seconds / report.result.duration_s : 0;
      share > 0) {
    std::string text = report_number(100 * share, 1) + " % of a core";
    if (share > kBusyShare && report.result.duration_s >= 1)
      text += ": so busy that this machine may be what was measured";
    rows.push_back({"this program", text});
  }
  if (report.result.abandoned > 0) {
    rows.push_back({"given up", std::to_string(report.result.abandoned) + " requests that had no answer at the end"});
  }
  add_service_rows(report, rows);
  return rows;
}

std::string to_json(const LoadReport& report) {
  const Figures& figures = report.figures;
  JsonWriter json(2 * kKiB, JsonLayout::indented);
  json.begin_object().member("url", report.plan.target.origin() + report.plan.target.path);
  json.member("model", report.plan.open ? "open" : "closed").member("seed", report.plan.seed);
  json.member("interrupted", report.is_interrupted);
  json.member("ok", figures.ok).member("failed", figures.failed).member("abandoned", report.result.abandoned);
  json.member("warmup", figures.warmup).member("images", figures.images_ok).member("seconds", rounded(figures.seconds));
  json.member("images_per_s", rounded(figures.images_per_s)).member("calls_per_s", rounded(figures.calls_per_s));
  json.member("connections", report.result.connections).member("cpu_seconds", rounded(report.cpu_seconds));
  json.begin_object("latency_s");
  for (const auto& [name, share] : kShares) member_or_null(json, name, figures.latencies.at(share));
  member_or_null(json, "mean", figures.latencies.mean());
  json.end_object();
  member_or_null(json, "first_label_s", figures.first_label_s);
  json.member("late", figures.late).member("latest_s", rounded(figures.latest_s));
  member_or_null(json, "accuracy", figures.accuracy);
  json.member("correct", report.result.correct).member("wrong", report.result.wrong);
  json.begin_object("errors");
  for (const auto& [error, count] : figures.errors) json.member(error, count);
  json.end_object().begin_object("service");
  member_or_null(json, "machines_max", report.service.machines_max());
  member_or_null(json, "machine_seconds", report.service.machine_seconds());
  member_or_null(json, "dollars", report.service.dollars());
  json.member("problem", report.service.problem).end_object();
  json.begin_list("failed_conditions");
  for (const std::string& condition : report.failed_conditions) json.element(condition);
  return json.end_list().end_object().finish() + "\n";
}

std::string to_csv(const LoadReport& report) {
  std::string out = "request,warmup,intended_s,sent_s,ended_s,latency_s,status,images,ok,name,label,error\n";
  std::uint64_t line = 0;
  for (const LoadRecord& record : report.result.records) {
    char text[192];
    std::snprintf(text, sizeof text, "%llu,%d,%.6f,%.6f,%.6f,%.6f,%d,%d,%d,", static_cast<unsigned long long>(++line),
                  record.is_warmup ? 1 : 0, record.intended_s, record.sent_s, record.ended_s, record.latency_s(),
                  record.status, record.images, record.ok);
    out += text;
    append_csv(out, report.images[record.first_image].name);
    out += ',';
    append_csv(out, report.result.labels[record.label]);
    out += ',';
    append_csv(out, report.result.errors[record.error]);
    out += '\n';
  }
  return out;
}

}  // namespace imgrec::load
