// The threads for work that blocks on the store or the queue, apart from the server's I/O thread: however slow those
// two are, /healthz and the page answer.
#pragma once

#include <exception>
#include <functional>
#include <thread>
#include <vector>

#include "lib/base/bounded_queue.hpp"
#include "lib/base/log.hpp"

namespace imgrec {

class TaskPool {
 public:
  using Task = std::move_only_function<void()>;

  TaskPool(int threads, std::size_t waiting_max) : tasks_(waiting_max) {
    for (int i = 0; i < threads; ++i) {
      threads_.emplace_back([this] {
        while (auto task = tasks_.pop()) run(*task);
      });
    }
  }
  ~TaskPool() { stop(); }
  TaskPool(const TaskPool&) = delete;
  TaskPool& operator=(const TaskPool&) = delete;

  /// Never waits; false when it is full or stopped, and the task is dropped.
  bool post(Task task) { return tasks_.try_push(std::move(task)); }

  /// Runs what waits, then ends the threads.
  void stop() {
    tasks_.close();
    for (std::thread& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
  }

 private:
  // What a task throws ends that task alone: its request is answered 500 when its Reply is dropped.
  static void run(Task& task) {
    try {
      task();
    } catch (const std::exception& e) {
      log::error("a task of the web tier failed", {{"error", e.what()}});
    } catch (...) {
      log::error("a task of the web tier failed", {{"error", "unknown exception"}});
    }
  }

  BoundedQueue<Task> tasks_;
  std::vector<std::thread> threads_;
};

}  // namespace imgrec
