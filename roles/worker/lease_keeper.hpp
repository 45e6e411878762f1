// Keeps the messages that this worker holds (worked on and prefetched) hidden from the others.
#pragma once

#include <map>
#include <mutex>
#include <span>
#include <stop_token>
#include <thread>
#include <vector>

#include "lib/base/clock.hpp"
#include "lib/base/outage_log.hpp"
#include "lib/ports/message_queue.hpp"
#include "roles/worker/worker_metrics.hpp"

namespace imgrec {

/// Thread-safe. One thread renews every lease at half its time. A lease that cannot be renewed because the message was
/// delivered again is lost: the job may go on, since results are written once and answers name their job.
class LeaseKeeper {
 public:
  LeaseKeeper(MessageQueue& queue, Clock& clock, Millis visibility, WorkerMetrics& metrics);
  ~LeaseKeeper();
  LeaseKeeper(const LeaseKeeper&) = delete;
  LeaseKeeper& operator=(const LeaseKeeper&) = delete;

  /// The message was received just now.
  void hold(const Receipt& receipt);
  /// The message is not renewed any more; one renewal may still be on its way.
  void forget(const Receipt& receipt);
  /// Makes the messages visible to all workers after `delay`. Best effort, within 10 s: where it fails, their leases
  /// run out. After release_all() it leaves them to that.
  void release(std::span<const Receipt> receipts, Millis delay);
  /// Ends all renewals and makes everything that is held visible to all workers, within 2 s; returns how much that is.
  /// What is still held later is left to another call.
  std::size_t release_all();

 private:
  std::vector<Receipt> held() const;
  void make_visible(std::span<const Receipt> receipts, Millis delay, const CallLimits& limits);
  void run(const std::stop_token& stop);
  void renew_due(const std::stop_token& stop);
  void renew(std::span<const Receipt> receipts, const std::stop_token& stop);

  MessageQueue& queue_;
  Clock& clock_;
  const Millis visibility_;
  WorkerMetrics& metrics_;
  OutageLog outage_;
  std::mutex renewing_;  // held during a renewal, so that none overtakes the return of the same message
  mutable std::mutex mutex_;
  std::map<Receipt, MonoTime> due_;  // when the lease is to be renewed
  std::stop_source ended_;           // no more renewals and releases
  std::jthread thread_;              // the last member: stops before the others go
};

}  // namespace imgrec
