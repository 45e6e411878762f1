// The threads for work that blocks on the store or the queue, apart from the server's own: however slow those two are,
// /healthz and the page answer.
#pragma once

#include <exception>
#include <functional>
#include <thread>
#include <vector>

#include "lib/base/bounded_queue.hpp"
#include "lib/base/log.hpp"

namespace imgrec {

/// Thread-safe.
class TaskPool {
 public:
  using Task = std::move_only_function<void()>;

  TaskPool(int threads, std::size_t waiting_max) : tasks_(waiting_max) {
    for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { run(); });
  }
  ~TaskPool() { stop(); }
  TaskPool(const TaskPool&) = delete;
  TaskPool& operator=(const TaskPool&) = delete;

  /// Never blocks. Returns false when waiting_max tasks wait already, and after stop(): the task is then destroyed.
  /// An exception that leaves a task ends that task alone and is logged; what the task owned is destroyed, so that a
  /// request is answered 500.
  [[nodiscard]] bool try_post(Task task) { return tasks_.try_push(std::move(task)); }

  /// Tasks that no thread has begun yet.
  std::size_t waiting() const { return tasks_.size(); }

  std::size_t threads() const { return threads_.size(); }

  /// Runs what waits, then ends the threads.
  void stop() {
    tasks_.close();
    for (std::thread& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
  }

 private:
  void run() {
    while (auto task = tasks_.pop()) {
      try {
        (*task)();
      } catch (const std::exception& exception) {
        log::error("a task failed with an exception", {{"what", exception.what()}});
      } catch (...) {
        log::error("a task failed with an exception", {{"what", "of unknown type"}});
      }
    }
  }

  BoundedQueue<Task> tasks_;
  std::vector<std::thread> threads_;
};

}  // namespace imgrec
