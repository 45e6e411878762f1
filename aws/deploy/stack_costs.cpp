#include "aws/deploy/stack_costs.hpp"

#include <algorithm>
#include <cstdio>
#include <set>

namespace imgrec::aws {
namespace {

constexpr double kHoursOfMonth = 365.0 * 24 / 12;

}  // namespace

std::vector<std::vector<std::string>> cost_rows(double price, int machines_max) {
  std::vector<std::vector<std::string>> rows = {{"MACHINES", "DOLLARS A MONTH"}};
  for (const int count : std::set<int>{0, std::min(1, machines_max), machines_max}) {
    char dollars[64];
    std::snprintf(dollars, sizeof dollars, "%.2f", count * price * kHoursOfMonth);
    rows.push_back({std::to_string(count), dollars});
  }
  return rows;
}

}  // namespace imgrec::aws
