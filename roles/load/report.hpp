// What is told of a workload: to people, and to programs.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "roles/load/figures.hpp"
#include "roles/load/service_watch.hpp"

namespace imgrec::load {

struct LoadReport {
  const LoadPlan& plan;
  std::span<const LoadImage> images;
  const LoadResult& result;
  const Figures& figures;
  const ServiceSeen& service;
  std::vector<std::string> failed_conditions{};  // of --fail-if: those that hold
  bool is_interrupted = false;
  double cpu_seconds = 0;  // of this program, while it sent
};

/// The figures as rows of a name and a value, for a table.
std::vector<std::vector<std::string>> summary_rows(const LoadReport& report);

/// One JSON object, indented. Times are seconds; what is not known is null.
std::string to_json(const LoadReport& report);

/// A head and one line for each request: request,warmup,intended_s,sent_s,ended_s,latency_s,status,images,ok,name,
/// label,error. Name and label are those of its first image.
std::string to_csv(const LoadReport& report);

/// A page in one file: the figures, plots over one time axis with the scaling decisions as marks, and each plot as a
/// table.
std::string to_html(const LoadReport& report);

/// "12.3 ms", "1.25 s"; "-" when it is not known.
std::string readable_seconds(std::optional<double> seconds);

}  // namespace imgrec::load
