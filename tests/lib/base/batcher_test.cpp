#include "lib/base/batcher.hpp"

#include <gmock/gmock.h>

#include <future>
#include <memory>

#include "tests/support/fake_clock.hpp"

namespace imgrec::batcher_test {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using Numbers = Batcher<int>;

TEST(Batcher, GivesWhatIsThereUpToABatch) {
  test::FakeClock clock;
  Numbers numbers(clock, {.batch_max = 3});
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(numbers.push(i));
  EXPECT_THAT(numbers.take(), ElementsAre(0, 1, 2));
  EXPECT_THAT(numbers.take(), ElementsAre(3, 4));
  numbers.close();
  EXPECT_THAT(numbers.take(), IsEmpty());
}

TEST(Batcher, WaitsForMoreFromTheFirstItemOn) {
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

TEST(Batcher, AFullBatchLeavesAtOnce) {
  test::FakeClock clock;
  Numbers numbers(clock, {.batch_max = 3, .linger = [](const int&, std::size_t) { return Millis(100); }});
  auto batch = std::async([&] { return numbers.take(); });
  numbers.push(1);
  clock.wait_for_sleepers(1);
  numbers.push(2);
  numbers.push(3);
  EXPECT_THAT(batch.get(), SizeIs(3));
}

TEST(Batcher, LeavesWhenNobodyElseIsToCome) {
  test::FakeClock clock;
  Numbers numbers(clock, {.linger = [](const int&, std::size_t count) { return Millis(count < 2 ? 100 : 0); }});
  auto batch = std::async([&] { return numbers.take(); });
  numbers.push(1);
  clock.wait_for_sleepers(1);
  numbers.push(2);
  EXPECT_THAT(batch.get(), ElementsAre(1, 2));
}

TEST(Batcher, FlushAndCloseEndTheWait) {
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

TEST(Batcher, ReturnsWhatItDoesNotTake) {
  test::FakeClock clock;
  Batcher<std::unique_ptr<int>> items(clock, {});
  items.close();
  const auto back = items.push(std::make_unique<int>(1));
  ASSERT_TRUE(back);
  EXPECT_EQ(**back, 1);
}

TEST(Batcher, BeyondItsLimitPushWaits) {
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

}  // namespace
}  // namespace imgrec::batcher_test
