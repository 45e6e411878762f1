// What comes after the result is stored: dead letter, answer, removal. Answers leave in batches of what has gathered
// while the last batch was on its way, and a little longer while the worker has more to do; removals gather longer, as
// nobody waits for them: a message that is delivered again meanwhile is only answered again. So a lone message waits
// for nothing, and a busy worker makes a fraction of the calls.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "lib/base/batcher.hpp"
#include "roles/worker/dependency.hpp"
#include "roles/worker/lease_keeper.hpp"
#include "roles/worker/process_job.hpp"

namespace imgrec {

struct CompleterOptions {
  bool fifo = false;  // all queues of the service are FIFO: group = session, dedup = job
  std::stop_token abandon;
  Millis outage_hold_max{60'000};  // what cannot be sent or removed for so long goes back to the queue
  /// How long a batch of `count` answers may gather whose first is `first`; see Batcher.
  std::function<Millis(const Answer& first, std::size_t count)> linger = [](const Answer&, std::size_t) {
    return Millis(0);
  };
  /// How long removals may gather.
  std::function<Millis()> linger_removal = [] { return Millis(0); };
  /// Every answer pushed is counted once, when it is sent or sent back: what is left to do for it keeps nobody waiting.
  std::function<void(std::size_t count)> on_done = [](std::size_t) {};
};

/// Thread-safe; two threads of its own. A message is removed only when it was dead-lettered (if it had to be) and
/// answered. Where that fails, it goes back to the queue: its result is stored, so the next delivery only answers.
class Completer {
 public:
  Completer(const WorkerPorts& ports, LeaseKeeper& leases, WorkerMetrics& metrics, CompleterOptions options);
  ~Completer();
  Completer(const Completer&) = delete;
  Completer& operator=(const Completer&) = delete;

  /// Waits while too many wait already.
  void push(Answer answer);
  /// From now on no batch waits for more.
  void flush();
  /// Finishes what was pushed, and ends.
  void close();
  /// As Dependency: the queues of answers and dead letters, and removals.
  bool works() const { return queues_.works(); }
  bool may_be_tried() const { return queues_.may_be_tried(); }

 private:
  using Batch = std::vector<Answer>;

  void run_answers();
  void run_removals();
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
  const CompleterOptions options_;
  Dependency queues_;
  Batcher<Answer> answers_, removals_;
  std::jthread removing_, answering_;
};

}  // namespace imgrec
