#include "aws/deploy/end_machines.hpp"

#include <gtest/gtest.h>

#include <deque>

#include "tests/aws/deploy/passing_clock.hpp"

namespace imgrec::end_machines_test {
namespace {

using Ids = std::vector<InstanceId>;

Ids ids(std::initializer_list<const char*> names) {
  Ids out;
  for (const char* name : names) out.emplace_back(name);
  return out;
}

class EndMachines : public testing::Test {
 protected:
  Result<void> end() {
    const aws::MachineCalls calls = {
        .list = [this](const CallLimits&) -> Result<Ids> {
          const Ids now = looks_.front();
          if (looks_.size() > 1) looks_.pop_front();
          return now;
        },
        .end = [this](std::span<const InstanceId> some, const CallLimits&) -> Result<void> {
          ended_.insert(ended_.end(), some.begin(), some.end());
          return {};
        }};
    return aws::end_machines(
        calls, {}, [this](const std::string& line) { lines_.push_back(line); }, clock_, stop_.get_token());
  }

  std::deque<Ids> looks_;  // the last one stays
  Ids ended_;
  std::vector<std::string> lines_;
  test::PassingClock clock_;
  std::stop_source stop_;
};

TEST_F(EndMachines, NoneIsASuccess) {
  looks_ = {{}};
  EXPECT_TRUE(end());
  EXPECT_TRUE(lines_.empty());
}

TEST_F(EndMachines, EachIsToldOnceAndAllAreWaitedFor) {
  looks_ = {ids({"i-1", "i-2"}), ids({"i-1", "i-2"}), ids({"i-2"}), {}};
  EXPECT_TRUE(end());
  EXPECT_EQ(ended_, ids({"i-1", "i-2"}));
  EXPECT_EQ(lines_, (std::vector<std::string>{"Ending 2 machines.", "1 machine left."}));
}

TEST_F(EndMachines, WhatIsLaunchedMeanwhileIsEndedTooAndSaid) {
  looks_ = {ids({"i-1"}), ids({"i-2"}), {}};
  EXPECT_TRUE(end());
  EXPECT_EQ(ended_, ids({"i-1", "i-2"}));
  EXPECT_NE(lines_.back().find("imgrec controller"), std::string::npos);
}

TEST_F(EndMachines, SomebodyWhoLaunchesAgainAndAgainIsNotFought) {
  looks_ = {ids({"i-1"}), ids({"i-2"}), ids({"i-3"}), ids({"i-4"}), ids({"i-5"}), {}};
  const auto done = end();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, "machines_launched");
}

TEST_F(EndMachines, OneThatDoesNotEndIsAnErrorAndAStopEndsTheWait) {
  looks_ = {ids({"i-1"})};
  EXPECT_EQ(end().error().code, "machines_left");
  clock_.stop_at = clock_.sleeps + 1;
  clock_.on_sleep = [&] { stop_.request_stop(); };
  EXPECT_EQ(end().error().kind, ErrorKind::cancelled);
}

}  // namespace
}  // namespace imgrec::end_machines_test
