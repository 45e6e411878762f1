#include "lib/base/bounded_queue.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace imgrec::bounded_queue_test {
namespace {

TEST(BoundedQueue, IsFirstInFirstOutAndRefusesMoreThanItsLimit) {
  BoundedQueue<int> queue(2);
  EXPECT_TRUE(queue.try_push(1));
  EXPECT_TRUE(queue.try_push(2));
  EXPECT_FALSE(queue.try_push(3));
  EXPECT_EQ(queue.pop(), 1);
  EXPECT_EQ(queue.try_pop(), 2);
  EXPECT_EQ(queue.try_pop(), std::nullopt);
}

TEST(BoundedQueue, ClosedGivesWhatIsLeftThenNothing) {
  BoundedQueue<int> queue(2);
  queue.push(1);
  queue.close();
  EXPECT_FALSE(queue.push(2));
  EXPECT_EQ(queue.pop(), 1);
  EXPECT_EQ(queue.pop(), std::nullopt);
}

TEST(BoundedQueue, StopWakesBothSides) {
  BoundedQueue<int> empty(1), full(1);
  full.push(1);
  std::stop_source stop;
  std::jthread consumer([&] { EXPECT_EQ(empty.pop(stop.get_token()), std::nullopt); });
  std::jthread producer([&] { EXPECT_FALSE(full.push(2, stop.get_token())); });
  stop.request_stop();
}

TEST(BoundedQueue, LosesNothingBetweenThreads) {
  constexpr int kProducers = 4, kEach = 2'000;
  BoundedQueue<int> queue(7);
  std::atomic<long> sum = 0;
  std::vector<std::jthread> consumers;
  for (int i = 0; i < 3; ++i) {
    consumers.emplace_back([&] {
      while (const auto item = queue.pop()) sum += *item;
    });
  }
  {
    std::vector<std::jthread> producers;
    for (int i = 0; i < kProducers; ++i) {
      producers.emplace_back([&] {
        for (int n = 1; n <= kEach; ++n) queue.push(n);
      });
    }
  }
  queue.close();
  consumers.clear();
  EXPECT_EQ(sum, static_cast<long>(kProducers) * kEach * (kEach + 1) / 2);
}

// A push wakes one consumer. When that one was stopped at the same moment, another has to get the item.
TEST(BoundedQueue, AStoppedConsumerTakesNoWakeUpAway) {
  for (int round = 0; round < 500; ++round) {
    BoundedQueue<int> queue(1);
    std::stop_source stop;
    std::optional<int> first, second;
    std::jthread stopped([&] { first = queue.pop(stop.get_token()); });
    std::jthread other([&] { second = queue.pop(); });
    std::jthread stopper([&] { stop.request_stop(); });
    queue.push(1);
    stopped.join();
    if (first) queue.close();
    other.join();  // never, when the wake-up was lost
    EXPECT_NE(first.has_value(), second.has_value());
  }
}

}  // namespace
}  // namespace imgrec::bounded_queue_test
