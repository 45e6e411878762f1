#include "aws/adapters/batcher.hpp"

#include <gmock/gmock.h>

#include <future>
#include <semaphore>
#include <thread>

#include "tests/support/fake_clock.hpp"

namespace imgrec::aws {
namespace {

using imgrec::test::FakeClock;
using testing::ElementsAre;

// A call that is on its way until the test lets it end.
class BatcherTest : public testing::Test {
 protected:
  using Batches = Batcher<int, int>;
  Batches::Outcomes call(const std::vector<int>& items) {
    std::shared_future<void> wait;
    {
      std::lock_guard lock(mutex);
      sizes.push_back(items.size());
      wait = gate;
    }
    began.release();
    wait.wait();
    std::vector<Result<int>> out;
    for (const int item : items)
      out.push_back(item < 0 ? Result<int>(fail(ErrorKind::invalid, "negative", "-")) : item * 2);
    return out;
  }
  Result<std::vector<Result<int>>> run(std::vector<int> items, std::size_t bytes = 1, Millis deadline = Seconds(60)) {
    return batcher.run(items, bytes, Deadline::in(clock, deadline));
  }
  auto start(std::vector<int> items, std::size_t bytes = 1, Millis deadline = Seconds(60)) {
    return std::async(std::launch::async, [=, this] { return run(items, bytes, deadline); });
  }
  void wait_for_gathering(int callers) { clock.wait_for_sleepers(callers); }

  FakeClock clock;
  std::mutex mutex;
  std::vector<std::size_t> sizes;
  std::promise<void> open;
  std::shared_future<void> gate = open.get_future().share();
  std::counting_semaphore<1000> began{0};
  Batches batcher{{.items_max = 10, .bytes_max = 100, .gather = Millis(3)},
                  clock,
                  [this](const std::vector<int>& items, Deadline) { return call(items); }};
};

TEST_F(BatcherTest, ALoneCallerWaitsForNobody) {
  open.set_value();
  EXPECT_EQ(run({1, 2})->at(1), 4);
  EXPECT_THAT(sizes, ElementsAre(2));
}

TEST_F(BatcherTest, OthersGatherMeanwhile) {
  auto first = start({1});
  began.acquire();
  auto second = start({2});
  wait_for_gathering(1);
  std::vector<std::future<Result<std::vector<Result<int>>>>> more;
  for (int i = 3; i < 12; ++i) more.push_back(start({i}));
  began.acquire();  // the tenth made it full, and it left before its time
  open.set_value();
  EXPECT_EQ(first.get()->front(), 2);
  EXPECT_EQ(second.get()->front(), 4);
  for (int i = 3; i < 12; ++i) EXPECT_EQ(more[static_cast<std::size_t>(i - 3)].get()->front(), 2 * i);
  EXPECT_THAT(sizes, ElementsAre(1, 10));
}

TEST_F(BatcherTest, AGroupLeavesAfterItsTime) {
  auto first = start({1});
  began.acquire();
  auto second = start({2});
  wait_for_gathering(1);
  clock.advance(Millis(3));
  began.acquire();
  open.set_value();
  EXPECT_EQ(second.get()->front(), 4);
  EXPECT_EQ(first.get()->front(), 2);
}

TEST_F(BatcherTest, NoGroupOutgrowsItsLimits) {
  auto first = start({1});
  began.acquire();
  auto large = start({2}, 60);
  wait_for_gathering(1);
  auto larger = start({3}, 60);  // 120 bytes together: the group leaves without it
  began.acquire();
  wait_for_gathering(1);
  clock.advance(Millis(3));
  began.acquire();
  open.set_value();
  EXPECT_EQ(large.get()->front(), 4);
  EXPECT_EQ(larger.get()->front(), 6);
  first.get();
  EXPECT_THAT(sizes, ElementsAre(1, 1, 1));
}

TEST_F(BatcherTest, NobodyJoinsACallThatMayEndAfterItsDeadline) {
  auto first = start({1});
  began.acquire();
  auto patient = start({2}, 1, Seconds(60));
  wait_for_gathering(1);
  auto hasty = start({3}, 1, Seconds(1));
  began.acquire();  // the patient one left alone
  wait_for_gathering(1);
  clock.advance(Millis(3));
  began.acquire();
  open.set_value();
  EXPECT_EQ(patient.get()->front(), 4);
  EXPECT_EQ(hasty.get()->front(), 6);
  first.get();
}

TEST_F(BatcherTest, EachHearsOfItsOwn) {
  auto first = start({1});
  began.acquire();
  auto bad = start({-1});
  wait_for_gathering(1);
  auto rest = start({5, 6, 7, 8, 9, 10, 11, 12, 13});
  began.acquire();
  open.set_value();
  EXPECT_EQ(bad.get()->front().error().code, "negative");
  EXPECT_EQ(rest.get()->at(8), 26);
  first.get();
}

TEST_F(BatcherTest, AnExceptionReachesNobodyAsAHang) {
  Batches thrower({}, clock, [](const std::vector<int>&, Deadline) -> Batches::Outcomes { throw std::bad_alloc(); });
  EXPECT_EQ(thrower.run({1}, 1, Deadline::in(clock, Seconds(1))).error().code, "batch_failed");
}

}  // namespace
}  // namespace imgrec::aws
