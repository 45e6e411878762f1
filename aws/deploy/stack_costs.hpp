// What the machines of a stack cost a month. Pure.
#pragma once

#include <string>
#include <vector>

namespace imgrec::aws {

/// A row for each of 0, 1 and the most machines: how many, and the dollars of a month in which they run all the time.
/// price: dollars an hour of one machine, more than 0; machines_max: at least 0.
std::vector<std::vector<std::string>> cost_rows(double price, int machines_max);

}  // namespace imgrec::aws
