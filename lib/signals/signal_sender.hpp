// Tells the controller what a web node or a worker does, through the queue of signals.
//
// Threads  safe; the calls here only note, and a thread of its own sends; but ready() waits for it.
// Failure  a signal that cannot be sent is dropped, and the log says once that it is so: the controller manages
// without. Cost     one call per `gather` of a web node that takes images, one per `report_every` of a worker, and a
// few more
//          when something begins or ends.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "lib/base/clock.hpp"
#include "lib/base/outage_log.hpp"
#include "lib/base/rng.hpp"
#include "lib/base/waker.hpp"
#include "lib/job/signal.hpp"
#include "lib/ports/message_queue.hpp"

namespace imgrec {

class SignalSender {
 public:
  struct Options {
    std::string sender;                        // as Signal::sender
    Millis gather = kWebSignalEvery;           // enqueued images are told together; the first at once
    Millis report_every = kWorkerSignalEvery;  // what a worker did
    Millis send_timeout{5'000};
  };
  SignalSender(MessageQueue& queue, Clock& clock, Rng& rng, Options options);
  /// Sends what is noted, waiting for it until send_timeout.
  ~SignalSender();

  /// Of a web node: so many requests were sent.
  void enqueued(std::uint64_t images);

  /// Of a worker. ready() comes first, ended() last. ready() returns when it is sent, or could not be within
  /// send_timeout: should the worker die at its first message, it is known that it had started.
  void ready();
  /// Its number of messages has changed: so many it holds now, and so many of them it has finished since the last call.
  void holds(int held, int finished);
  void draining();
  void ended();

 private:
  struct Work {
    MonoTime since{};  // of what is not yet reported
    std::uint64_t images = 0;
    Millis busy{0};  // until `changed`
    MonoTime changed{};
    int held = 0;
    MonoTime idle_since{};
    bool reported = false, said_idle = false;
  };

  void note(SignalKind kind);
  std::optional<MonoTime> due() const;
  Signal make(SignalKind kind);
  Signal make_report(MonoTime now);
  std::vector<Signal> take(MonoTime now);
  void send(const std::vector<Signal>& signals);
  void run();

  MessageQueue& queue_;
  Clock& clock_;
  const Options options_;
  const std::string life_;
  OutageLog sending_;
  std::mutex mutex_;
  std::uint64_t sequence_ = 0;
  std::vector<SignalKind> noted_;
  std::uint64_t enqueued_ = 0;
  std::optional<MonoTime> enqueued_since_, enqueued_told_;
  std::optional<Work> work_;  // of a worker that is ready
  Waker waker_;
  bool closing_ = false;
  std::jthread thread_;
};

}  // namespace imgrec
