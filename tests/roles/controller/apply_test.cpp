#include "roles/controller/apply.hpp"

#include <gtest/gtest.h>

#include "tests/support/fake_clock.hpp"
#include "tests/support/fake_fleet.hpp"

namespace imgrec::apply_test {
namespace {

using test::FaultAt;
using test::FleetCall;

class ApplierTest : public testing::Test {
 protected:
  Result<void> launch(int count) {
    Actions actions;
    actions.launch = actions.total = count;
    return applier_.apply(actions, {});
  }

  test::FakeClock clock_;
  test::SeededRng rng_;
  Metrics metrics_;
  StartFailures starts_{{}};
  test::FakeFleet fleet_{clock_, {.instances_max = 20}};
  Applier applier_{{.fleet = fleet_, .clock = clock_, .rng = rng_, .metrics = metrics_, .starts = starts_}};
};

// The fleet does not show yet what it launched, so that reconcile asks for instances again: for fewer, as less is
// wanted.
TEST_F(ApplierTest, ALaunchThatWasNotAnsweredIsRepeatedHoweverFewAreMissing) {
  fleet_.faults.fail_next(FleetCall::launch, 1, test::injected_error(), FaultAt::after);
  EXPECT_FALSE(launch(5));
  EXPECT_TRUE(launch(3));
  EXPECT_EQ(fleet_.launched(), 5) << "other instances beside those that are not shown could exceed the maximum";
  EXPECT_TRUE(launch(1));
  EXPECT_EQ(fleet_.launched(), 6) << "it was answered: the next one is another";
}

TEST_F(ApplierTest, ALaunchThatWasNotAnsweredIsRememberedWhileNothingIsMissing) {
  fleet_.faults.fail_next(FleetCall::launch, 1, test::injected_error(), FaultAt::after);
  EXPECT_FALSE(launch(5));
  EXPECT_TRUE(launch(0));
  clock_.advance(Seconds(30));
  EXPECT_TRUE(launch(5));
  EXPECT_EQ(fleet_.launched(), 5);
}

TEST_F(ApplierTest, ALaunchThatWasNotAnsweredLongAgoIsForgotten) {
  fleet_.faults.fail_next(FleetCall::launch, 1, test::injected_error(), FaultAt::before);
  EXPECT_FALSE(launch(5));
  clock_.advance(Seconds(600));
  EXPECT_TRUE(launch(1));
  EXPECT_EQ(fleet_.launched(), 1);
}

}  // namespace
}  // namespace imgrec::apply_test
