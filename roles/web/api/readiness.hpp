// Whether this node can take images in, and whether any worker can start: found out by a thread of its own, so that
// /readyz answers at once whatever hangs.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "lib/base/clock.hpp"
#include "lib/base/waker.hpp"
#include "lib/ports/message_queue.hpp"
#include "lib/ports/object_store.hpp"
#include "roles/web/results/result_router.hpp"
#include "roles/web/upload/upload.hpp"

namespace imgrec {

struct ReadinessOptions {
  Millis interval{2'000};       // what was found out less long ago is answered as it is
  Millis check_timeout{2'000};  // a check that takes longer counts as failed
  Millis write_proof{10'000};   // a write that succeeded so lately needs no probe
  bool fifo = false;            // the response queue is FIFO
};

/// Thread-safe. Its thread runs from the constructor to stop(); it checks while it is asked, and looks for the reason
/// when jobs wait and none is answered.
class Readiness {
 public:
  struct Ports {
    MessageQueue& requests;
    MessageQueue& responses;
    ObjectStore& inputs;
    ObjectStore& outputs;
    ResultRouter& router;
    Uploader& uploader;
    Clock& clock;
    Rng& rng;
    std::stop_token abort{};  // requested: calls under way end
  };
  Readiness(Ports ports, const ReadinessOptions& options);
  ~Readiness();

  /// Nothing: ready; else what is wrong and what to do.
  using Answer = std::move_only_function<void(const std::optional<Error>&)>;
  /// Never blocks. Answers at once, or when the check under way ends.
  void ask(Answer answer);

  /// Why no worker can start; nothing as far as is known.
  std::optional<Error> worker_error() const;

  /// From now on it says no.
  void begin_drain() { draining_ = true; }

  void stop();

 private:
  void run(std::stop_token stop);
  std::optional<Error> check();
  std::optional<Error> check_images();
  std::optional<Error> check_messages();
  void check_workers();
  bool worked_lately(std::optional<MonoTime> last) const;
  CallLimits limits() const { return {Deadline::in(ports_.clock, options_.check_timeout), ports_.abort}; }

  Ports ports_;
  const ReadinessOptions options_;
  std::atomic<bool> draining_ = false;
  mutable std::mutex mutex_;
  bool known_ = false;
  MonoTime checked_at_{};
  std::optional<MonoTime> checking_since_;
  std::optional<MonoTime> probed_;     // when the response queue took a message; of the thread alone
  std::optional<Error> problem_;       // found by the last check
  std::optional<Error> worker_error_;  // why no worker can start
  std::vector<Answer> waiting_;
  Waker waker_;
  std::jthread thread_;
};

}  // namespace imgrec
