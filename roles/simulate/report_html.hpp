// One page about a simulation, in one file that needs no network.
#pragma once

#include <string>
#include <vector>

#include "roles/simulate/contest.hpp"

namespace imgrec::simulate {

struct ReportPart {
  Course course;
  std::vector<Summary> summaries;
  std::vector<Recording> recordings;  // one for each summary
};

/// A table of all, and for each policy plots on one time axis: the queue, machines by state, the wait, dollars, and the
/// decisions with their reasons. Light or dark as the reader's system is.
std::string to_html(const std::vector<ReportPart>& parts);

}  // namespace imgrec::simulate
