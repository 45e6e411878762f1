// What comes after the result is stored: dead letter, answer, removal. In batches of what has gathered while the last
// batch was on its way, and a little longer while the worker has plenty to do: so a lone message waits for nothing, and
// a busy worker makes a fraction of the calls.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "lib/base/bounded_queue.hpp"
#include "roles/worker/lease_keeper.hpp"
#include "roles/worker/patience.hpp"
#include "roles/worker/process_job.hpp"

namespace imgrec {

struct FinisherOptions {
  bool fifo = false;  // all queues of the service are FIFO: group = session, dedup = job
  std::stop_token abandon;
  /// How long a batch may gather; asked when one begins. At most kLingerMax is taken.
  std::function<Millis()> linger = [] { return Millis(0); };
  std::function<void(std::size_t count)> on_done;  // every answer pushed is counted once, whatever became of it
};

constexpr Millis kLingerMax{10};

/// Thread-safe; one thread of its own. A message is removed only when it was dead-lettered (if it had to be) and
/// answered. Where that fails, it goes back to the queue: its result is stored, so the next delivery only answers.
class Finisher {
 public:
  Finisher(const WorkerPorts& ports, LeaseKeeper& leases, WorkerMetrics& metrics, FinisherOptions options);
  ~Finisher();
  Finisher(const Finisher&) = delete;
  Finisher& operator=(const Finisher&) = delete;

  /// Waits while too many wait already.
  void push(Answer answer);
  /// Finishes what was pushed, and ends.
  void close();

 private:
  using Batch = std::vector<Answer>;

  void run();
  void finish(Batch batch);
  Batch dead_letter(Batch batch);
  Batch answer(Batch batch);
  void send_answers(const std::string& reply_to, Batch& group, Batch& answered);
  void remove(Batch batch);
  void send_back(const Answer& answer, const Error& error);
  void report(const Answer& answer);
  OutgoingMessage message(const Answer& answer, std::string body) const;

  const WorkerPorts& ports_;
  LeaseKeeper& leases_;
  WorkerMetrics& metrics_;
  const FinisherOptions options_;
  Patience patience_;
  BoundedQueue<Answer> queue_;
  std::stop_source closing_;  // nothing lingers any more
  std::jthread thread_;
};

}  // namespace imgrec
