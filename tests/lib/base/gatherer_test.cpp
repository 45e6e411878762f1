#include "lib/base/gatherer.hpp"

#include <gmock/gmock.h>

#include <future>
#include <memory>

#include "tests/support/fake_clock.hpp"

namespace imgrec {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using Numbers = Gatherer<int>;

TEST(Gatherer, GivesWhatIsThereUpToABatch) {
  test::FakeClock clock;
  Numbers numbers(clock, {.batch_max = 3});
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(numbers.push(i));
  EXPECT_THAT(numbers.take(), ElementsAre(0, 1, 2));
  EXPECT_THAT(numbers.take(), ElementsAre(3, 4));
  numbers.close();
  EXPECT_THAT(numbers.take(), IsEmpty());
}

TEST(Gatherer, WaitsForCompanyFromTheFirstItemOn) {
  test::FakeClock clock;
  Numbers numbers(clock, {.batch_max = 3, .linger = [](const int&, std::size_t) { return Millis(100); }});
  numbers.push(1);
  clock.advance(60ms);
  auto batch = std::async([&] { return numbers.take(); });
  clock.wait_for_sleepers(1);
  numbers.push(2);
  clock.advance(39ms);
  clock.wait_for_sleepers(1);
  clock.advance(1ms);
  EXPECT_THAT(batch.get(), ElementsAre(1, 2));
}

TEST(Gatherer, AFullBatchLeavesAtOnce) {
  test::FakeClock clock;
  Numbers numbers(clock, {.batch_max = 3, .linger = [](const int&, std::size_t) { return Millis(100); }});
  auto batch = std::async([&] { return numbers.take(); });
  numbers.push(1);
  clock.wait_for_sleepers(1);
  numbers.push(2);
  numbers.push(3);
  EXPECT_THAT(batch.get(), SizeIs(3));
}

TEST(Gatherer, LeavesWhenNobodyElseIsToCome) {
  test::FakeClock clock;
  Numbers numbers(clock, {.linger = [](const int&, std::size_t count) { return Millis(count < 2 ? 100 : 0); }});
  auto batch = std::async([&] { return numbers.take(); });
  numbers.push(1);
  clock.wait_for_sleepers(1);
  numbers.push(2);
  EXPECT_THAT(batch.get(), ElementsAre(1, 2));
}

TEST(Gatherer, HurryAndCloseEndTheWait) {
  for (const bool closes : {false, true}) {
    test::FakeClock clock;
    Numbers numbers(clock, {.linger = [](const int&, std::size_t) { return Millis(100); }});
    auto batch = std::async([&] { return numbers.take(); });
    numbers.push(1);
    clock.wait_for_sleepers(1);
    closes ? numbers.close() : numbers.flush();
    EXPECT_THAT(batch.get(), ElementsAre(1));
    EXPECT_EQ(numbers.push(2).has_value(), closes);
    EXPECT_THAT(numbers.take(), SizeIs(closes ? 0 : 1)) << "at once";
  }
}

TEST(Gatherer, GivesBackWhatItDoesNotTake) {
  test::FakeClock clock;
  Gatherer<std::unique_ptr<int>> items(clock, {});
  items.close();
  const auto back = items.push(std::make_unique<int>(1));
  ASSERT_TRUE(back);
  EXPECT_EQ(**back, 1);
}

TEST(Gatherer, BeyondItsLimitPushWaits) {
  test::FakeClock clock;
  Numbers numbers(clock, {.batch_max = 2, .waiting_max = 2});
  numbers.push(1);
  numbers.push(2);
  auto third = std::async([&] { return numbers.push(3); });
  EXPECT_EQ(third.wait_for(20ms), std::future_status::timeout);
  EXPECT_THAT(numbers.take(), SizeIs(2));
  EXPECT_FALSE(third.get());
  EXPECT_THAT(numbers.take(), ElementsAre(3));
}

TEST(CompanyWait, IsAPartOfTheUsualTimeWithALimit) {
  EXPECT_EQ(linger_for(80ms), 10ms);
  EXPECT_EQ(linger_for(80ms, 4), 20ms);
  EXPECT_EQ(linger_for(1h), 500ms);
  EXPECT_EQ(linger_for(-1h), 0ms) << "clocks that differ";
}

}  // namespace
}  // namespace imgrec
