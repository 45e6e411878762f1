#include "aws/deploy/stack_costs.hpp"

#include <gtest/gtest.h>

namespace imgrec::stack_costs_test {
namespace {

using Rows = std::vector<std::vector<std::string>>;

TEST(StackCosts, NoneOneAndTheMost) {
  const std::vector<std::string> heading = {"WORKERS", "DOLLARS A MONTH"};
  EXPECT_EQ(aws::cost_rows({.worker = 0.1}, 20), (Rows{heading, {"0", "0.00"}, {"1", "73.00"}, {"20", "1460.00"}}));
  EXPECT_EQ(aws::cost_rows({.worker = 0.0892}, 1), (Rows{heading, {"0", "0.00"}, {"1", "65.12"}}));
  EXPECT_EQ(aws::cost_rows({.worker = 0.1}, 0), (Rows{heading, {"0", "0.00"}}));
  EXPECT_EQ(aws::cost_rows({.worker = 0.1, .web = 0.02}, 1), (Rows{heading, {"0", "14.60"}, {"1", "87.60"}}));
}

}  // namespace
}  // namespace imgrec::stack_costs_test
