#include "aws/deploy/stack_costs.hpp"

#include <algorithm>
#include <cstdio>
#include <set>

namespace imgrec::aws {
namespace {

constexpr double kHoursOfMonth = 365.0 * 24 / 12;

}  // namespace

std::vector<std::vector<std::string>> cost_rows(const StackPrices& prices, int workers_max) {
  std::vector<std::vector<std::string>> rows = {{"WORKERS", "DOLLARS A MONTH"}};
  for (const int count : std::set<int>{0, std::min(1, workers_max), workers_max}) {
    char dollars[64];
    std::snprintf(dollars, sizeof dollars, "%.2f", (count * prices.worker + prices.web) * kHoursOfMonth);
    rows.push_back({std::to_string(count), dollars});
  }
  return rows;
}

}  // namespace imgrec::aws
