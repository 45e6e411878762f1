// Several threads' elements in one call.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <utility>
#include <vector>

#include "lib/base/clock.hpp"
#include "lib/base/result.hpp"

namespace imgrec::aws {

struct BatchLimits {
  std::size_t items_max = 10;
  std::size_t bytes_max = kMiB;
  Millis gather{3};  // while other calls are on their way
};

/// Thread-safe; no thread of its own. A caller that finds no call on its way makes its own at once; others gather, and
/// the first of them makes the call for all when it is full or `gather` has passed. Item is small (a pointer): what it
/// points to lives until run() returns.
template <class Item, class Value>
class Batcher {
 public:
  using Outcomes = Result<std::vector<Result<Value>>>;
  /// One outcome per item, in order.
  using Call = std::function<Outcomes(const std::vector<Item>& items, Deadline deadline)>;

  Batcher(const BatchLimits& limits, Clock& clock, Call call)
      : limits_(limits), clock_(clock), call_(std::move(call)) {}

  /// At most items_max items of bytes_max bytes together. Ends with its deadline, give or take what the call takes to
  /// notice.
  Outcomes run(const std::vector<Item>& items, std::size_t bytes, Deadline deadline) {
    std::unique_lock lock(mutex_);
    if (open_ && fits(*open_, items.size(), bytes) && open_->deadline.at <= deadline.at) {
      return follow(open_, items, bytes, lock);
    }
    if (open_) close(*open_);
    auto group = std::make_shared<Group>();
    group->items = items;
    group->bytes = bytes;
    group->deadline = deadline;
    return lead(group, items.size(), lock);
  }

 private:
  struct Group {
    std::vector<Item> items;
    std::size_t bytes = 0;
    Deadline deadline{};
    std::stop_source full;
    bool done = false;
    Outcomes outcomes;
  };

  bool fits(const Group& group, std::size_t count, std::size_t bytes) const {
    return group.items.size() + count <= limits_.items_max && group.bytes + bytes <= limits_.bytes_max;
  }

  // Nobody joins it any more; its leader goes.
  void close(Group& group) {
    if (open_.get() == &group) open_.reset();
    group.full.request_stop();
  }

  Outcomes follow(std::shared_ptr<Group> group, const std::vector<Item>& items, std::size_t bytes,
                  std::unique_lock<std::mutex>& lock) {
    const std::size_t first = group->items.size();
    group->items.insert(group->items.end(), items.begin(), items.end());
    group->bytes += bytes;
    if (group->items.size() == limits_.items_max) close(*group);
    done_.wait(lock, [&] { return group->done; });
    return part(group->outcomes, first, items.size());
  }

  Outcomes lead(const std::shared_ptr<Group>& group, std::size_t count, std::unique_lock<std::mutex>& lock) {
    if (calls_ > 0 && group->items.size() < limits_.items_max) {
      open_ = group;
      lock.unlock();
      clock_.sleep_for(limits_.gather, group->full.get_token());
      lock.lock();
      if (open_ == group) open_.reset();
    }
    ++calls_;
    lock.unlock();
    Outcomes outcomes = call(*group);
    lock.lock();
    --calls_;
    group->outcomes = std::move(outcomes);
    group->done = true;
    done_.notify_all();
    return part(group->outcomes, 0, count);
  }

  // The followers wait for an outcome, whatever happens.
  Outcomes call(const Group& group) {
    try {
      return call_(group.items, group.deadline);
    } catch (const std::exception& error) {
      return fail(ErrorKind::bug, "batch_failed",
                  std::string("A call for several threads ended early: ") + error.what());
    }
  }

  static Outcomes part(const Outcomes& all, std::size_t first, std::size_t count) {
    if (!all) return all;
    if (all->size() < first + count) {
      return fail(ErrorKind::bug, "batch_failed", "A call for several threads gave too few outcomes.");
    }
    const auto begin = all->begin() + static_cast<std::ptrdiff_t>(first);
    return std::vector<Result<Value>>(begin, begin + static_cast<std::ptrdiff_t>(count));
  }

  const BatchLimits limits_;
  Clock& clock_;
  const Call call_;
  std::mutex mutex_;
  std::condition_variable done_;
  std::shared_ptr<Group> open_;  // gathers
  int calls_ = 0;                // on their way
};

}  // namespace imgrec::aws
