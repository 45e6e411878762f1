// A few threads for work that blocks on the store or the queue, apart from the server's own: however slow those two
// are, /healthz and the page answer.
#pragma once

#include <functional>
#include <thread>
#include <vector>

#include "lib/base/bounded_queue.hpp"

namespace imgrec {

class TaskPool {
 public:
  using Task = std::move_only_function<void()>;

  TaskPool(int threads, std::size_t waiting_max) : tasks_(waiting_max) {
    for (int i = 0; i < threads; ++i) {
      threads_.emplace_back([this] {
        while (auto task = tasks_.pop()) (*task)();
      });
    }
  }
  ~TaskPool() { stop(); }
  TaskPool(const TaskPool&) = delete;
  TaskPool& operator=(const TaskPool&) = delete;

  /// Waits for a place; false after stop(). A task must not throw.
  bool post(Task task) { return tasks_.push(std::move(task)); }

  /// Runs what waits, then ends the threads.
  void stop() {
    tasks_.close();
    for (std::thread& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
  }

 private:
  BoundedQueue<Task> tasks_;
  std::vector<std::thread> threads_;
};

}  // namespace imgrec
