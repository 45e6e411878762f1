// Brings each answer from this node's response queue to the client that waits for it.
//
// Responses are received by a thread of their own and wake their waiter once; a second delivery, or one for a client of
// an earlier life of this node, finds no waiter and is removed (its result stays in the store). A response that never
// comes (lost, or answered to another node) is found in the result store, where old waiters are looked up now and then.
//
// Each call of a remote queue or store costs, so in a crowd responses are received and removed ten at a time: see
// linger(). A response that is removed late is at worst delivered again, which changes nothing.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "lib/base/batcher.hpp"
#include "lib/base/linger.hpp"
#include "lib/base/rng.hpp"
#include "lib/ports/message_queue.hpp"
#include "lib/ports/object_store.hpp"
#include "roles/web/pending_request.hpp"
#include "roles/web/waker.hpp"

namespace imgrec {

constexpr std::uint64_t kResultBytesMax = kMiB;  // as much as a queue carries

struct ResultRouterOptions {
  Millis poll_wait{20'000};
  Millis visibility{30'000};
  Millis remove_within{1'000};  // removals gather so long at most
  bool fifo = false;            // a response not yet removed holds up its group: removals do not gather
  // A waiter this old, and four times as old as answers are lately, is looked up in the store; then after twice the
  // time, and so on.
  Millis first_check{3'000};
  Millis check_max{60'000};  // the longest time between two look-ups of one waiter
  // Look-ups go in rounds. One that finds nothing doubles the time to the next, up to round_max: while everybody merely
  // waits for a worker, they cost next to nothing. One that finds something brings the next soon, with more look-ups.
  int checks_min = 2, checks_max = 20;
  Millis round{250}, round_max{30'000};
};

/// Thread-safe. Its threads run from the constructor to stop().
class ResultRouter {
 public:
  struct Ports {
    MessageQueue& responses;
    ObjectStore& outputs;
    Clock& clock;
    Rng& rng;
    /// Called for every result that arrives, duplicates too, before its waiter wakes.
    std::function<void(const JobResult&)> on_result = [](const JobResult&) {};
  };
  explicit ResultRouter(Ports ports, const ResultRouterOptions& options = {});
  ~ResultRouter();
  ResultRouter(const ResultRouter&) = delete;
  ResultRouter& operator=(const ResultRouter&) = delete;

  /// Keeps the request's deadline until forget().
  void watch(const std::shared_ptr<PendingRequest>& request);
  /// The answer to `job` goes to that image of the request; register before the job can be answered.
  void expect(const JobId& job, const std::shared_ptr<PendingRequest>& request, std::size_t index);
  /// No more answers and no deadline for this request.
  void forget(const PendingRequest* request);
  bool expects(const JobId& job) const;

  /// Whoever still waits then is told that the server stops.
  void end_all_at(MonoTime time);

  std::size_t pending_jobs() const;
  std::size_t waiting_clients() const;
  /// How long messages of this node may gather to travel in one call: 0 while few wait for an answer, else
  /// See lib/base/linger.hpp: a part of what answers take lately.
  Millis linger() const;

  /// Ends the threads, then every request that still waits.
  void stop();

 private:
  struct Waiter {
    std::shared_ptr<PendingRequest> request;
    std::size_t index = 0;
    MonoTime since{};
    MonoTime next_check{};
    Millis check_after{};
  };
  using Waiters = std::unordered_multimap<JobId, Waiter>;

  void poll(std::stop_token stop);
  void remove_delivered();
  void deliver(const Message& message);
  enum class Way { queue, store };
  void deliver(JobResult result, Way way);
  void keep_time(std::stop_token stop);
  std::vector<std::shared_ptr<PendingRequest>> take_overdue(MonoTime now);
  void look_up_old_waiters(std::stop_token stop);
  std::vector<JobId> take_due_checks(MonoTime now);
  void plan_next_round(bool found);
  MonoTime next_event(MonoTime now) const;
  void rest_if_empty();

  Ports ports_;
  const ResultRouterOptions options_;
  mutable std::mutex mutex_;
  Waiters waiters_;
  std::multimap<MonoTime, JobId> checks_;  // when to look up which job; may name jobs that are answered meanwhile
  std::unordered_map<const PendingRequest*, std::shared_ptr<PendingRequest>> watched_;
  std::multimap<MonoTime, const PendingRequest*> deadlines_;
  std::unordered_multimap<const PendingRequest*, JobId> jobs_of_;
  MonoTime end_all_at_ = MonoTime::max();
  MonoTime next_round_{};
  Millis round_{};      // to the next
  int checks_now_ = 0;  // of the next
  Millis mean_wait_{};  // for an answer, lately; 0 since nobody waited any more
  Waker waker_;
  Batcher<Receipt> delivered_;  // to be removed
  std::jthread remover_;
  std::jthread poller_;
  std::jthread timer_;
};

}  // namespace imgrec
