// The threads that run handlers. Private to lib/http.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace imgrec::http {

/// Thread-safe. Its queue needs no limit of its own: there is at most one task per connection slot.
class WorkPool {
 public:
  using Task = std::move_only_function<void()>;

  ~WorkPool() { stop(); }
  void start(int thread_count);
  /// After stop() the task is dropped.
  void post(Task task);
  /// Drops what has not begun, waits for what has.
  void stop();

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Task> tasks_;
  bool stopped_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace imgrec::http
