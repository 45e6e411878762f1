// What the machines of a stack cost a month. Pure.
#pragma once

#include <string>
#include <vector>

namespace imgrec::aws {

/// Dollars an hour.
struct StackPrices {
  double worker = 0;  // of one
  double web = 0;     // of the web instance with its address; 0 without one
};

/// A row for each of 0, 1 and the most workers: how many, and the dollars of a month in which they run all the time
/// beside the web instance. workers_max: at least 0.
std::vector<std::vector<std::string>> cost_rows(const StackPrices& prices, int workers_max);

/// Of an Elastic IP in use: https://aws.amazon.com/vpc/pricing/, "Public IPv4 address".
inline constexpr double kAddressPrice = 0.005;

}  // namespace imgrec::aws
