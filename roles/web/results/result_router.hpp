// Brings each answer from this node's response queue to the client that waits for it.
//
// Responses are received by a thread of their own and wake their waiters once; a second delivery, or one for a client
// of an earlier life of this node, finds no waiter and is removed (its result stays in the store). A response that
// never comes (lost, or sent to another node) is found in the result store, where a few of the oldest jobs are looked
// up now and then.
//
// Each call of a remote queue or store costs, so in a crowd responses are received and removed ten at a time: see
// linger(). A response that is removed late is at worst delivered again, which changes nothing.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

#include "lib/base/batcher.hpp"
#include "lib/base/linger.hpp"
#include "lib/base/rng.hpp"
#include "lib/base/waker.hpp"
#include "lib/ports/message_queue.hpp"
#include "lib/ports/object_store.hpp"
#include "roles/web/results/pending_request.hpp"

namespace imgrec {

constexpr std::uint64_t kResultBytesMax = kMiB;  // as much as a queue carries

/// Sent to this node's own response queue to see whether messages are taken (Readiness); dropped on arrival.
inline constexpr std::string_view kProbeMessage = "{\"v\":1,\"probe\":true}";

struct ResultRouterOptions {
  Millis poll_wait{20'000};
  Millis visibility{30'000};
  Millis remove_within{1'000};  // removals gather so long at most
  Millis remove_timeout{5'000};
  Millis look_up_timeout{2'000};  // short: the thread that looks up also keeps the clients' deadlines
  bool fifo = false;              // a response not yet removed holds up its group: removals do not gather
  // A job this old, and four times as old as answers are lately, is looked up in the store, a few jobs a round, the one
  // that was not looked up for the longest time first. A round that finds nothing doubles the time to the next, so that
  // look-ups cost next to nothing while everybody merely waits for a worker; one that finds something brings it soon.
  Millis first_look_up{3'000};
  int look_ups_per_round = 4;
  Millis round{250}, round_max{30'000};
  LingerRule linger{.min = Millis(5)};  // the minimum holds before the first answer tells how long they take, too
  Millis job_ttl{24 * 3'600'000};       // a job that is not answered by then counts as lost
};

/// Thread-safe. Its threads run from the constructor to stop().
class ResultRouter {
 public:
  struct Ports {
    MessageQueue& responses;
    ObjectStore& outputs;
    Clock& clock;
    Rng& rng;
    /// Called for every result that arrives, duplicates too, before its waiters wake.
    std::function<void(const JobResult&)> on_result = [](const JobResult&) {};
    /// Called after a job of this node was answered, with the number of those still pending.
    std::function<void(std::size_t pending)> on_answer = [](std::size_t) {};
  };
  explicit ResultRouter(Ports ports, const ResultRouterOptions& options = {});
  ~ResultRouter();
  ResultRouter(const ResultRouter&) = delete;
  ResultRouter& operator=(const ResultRouter&) = delete;

  /// Keeps the request's deadline until forget().
  void watch(const std::shared_ptr<PendingRequest>& request);
  /// The image of that index in the request is a job of this node: it counts as pending until it is answered or
  /// dropped. Call it before the job can be answered. Returns false when the request has ended meanwhile.
  bool expect(const JobId& job, const std::shared_ptr<PendingRequest>& request, std::size_t index,
              const OwnerId& owner = {});
  /// The request also waits for that job, whichever node's it is.
  void await(const JobId& job, const std::shared_ptr<PendingRequest>& request, std::size_t index);
  /// No more answers and no deadline for this request; its jobs stay pending.
  void forget(const PendingRequest* request);
  /// Nobody will ask for these jobs: they are pending no longer.
  void drop(std::span<const JobId> jobs);
  bool expects(const JobId& job) const;
  /// Whose that job of this node is; nothing when it is no pending job of this node.
  std::optional<OwnerId> owner_of(const JobId& job) const;
  /// How many pending jobs of this node were made after that one.
  std::size_t pending_after(const JobId& job) const;
  /// The job was cancelled and that is its result: whoever waits for it is told.
  void cancel(JobResult result) { deliver(std::move(result), Way::cancel); }

  /// Whoever still waits then is told that the server stops.
  void end_all_at(MonoTime time);
  /// Refuses every image of the requests that need not be held.
  void refuse_waiting(const Error& error);

  /// Jobs of this node that are not answered.
  std::size_t pending_jobs() const;
  std::size_t waiting_clients() const;
  /// Returns true when jobs have been waiting for a while and none is answered.
  bool stalled() const;
  /// Returns true when a job of this node was answered so lately.
  bool answered_within(Millis time) const;
  /// How long messages of this node may gather to travel in one call: 0 while few jobs are pending, else a part of what
  /// answers take lately (lib/base/linger.hpp).
  Millis linger() const;

  /// Ends the threads, then every request that still waits.
  void stop();

 private:
  struct Waiter {
    std::shared_ptr<PendingRequest> request;
    std::size_t index = 0;
  };
  struct Job {
    MonoTime since{};
    MonoTime seen{};  // when it came, or was looked up last
    bool own = false;
    OwnerId owner;  // of an own one
    std::vector<Waiter> waiters;
    std::list<JobId>::iterator place;  // in order_
  };
  using Jobs = std::unordered_map<JobId, Job>;

  bool add_waiter(const JobId& job, Waiter waiter, const OwnerId* owner);
  void erase(Jobs::iterator job);
  void poll(std::stop_token stop);
  void remove_delivered();
  void deliver(const Message& message);
  enum class Way { queue, store, cancel };
  void deliver(JobResult result, Way way);
  void keep_time(std::stop_token stop);
  std::vector<std::shared_ptr<PendingRequest>> take_overdue(MonoTime now);
  void look_up_old_jobs(std::stop_token stop);
  std::vector<JobId> take_due_look_ups(MonoTime now);
  void drop_if_lost(const JobId& job);
  void plan_next_round(bool found);
  Millis look_up_after() const;
  MonoTime next_event(MonoTime now) const;

  Ports ports_;
  const ResultRouterOptions options_;
  mutable std::mutex mutex_;
  Jobs jobs_;
  std::list<JobId> order_;  // by Job::seen, the oldest first
  std::size_t own_jobs_ = 0;
  MonoTime busy_since_{};
  std::optional<MonoTime> last_answer_;
  std::unordered_map<const PendingRequest*, std::shared_ptr<PendingRequest>> watched_;
  std::multimap<MonoTime, const PendingRequest*> deadlines_;
  std::unordered_multimap<const PendingRequest*, JobId> jobs_of_;
  MonoTime end_all_at_ = MonoTime::max();
  MonoTime next_round_{};
  Millis round_{};      // to the next
  Millis mean_wait_{};  // for an answer, lately; 0 since nobody waited any more
  Waker waker_;
  Batcher<Receipt> delivered_;  // to be removed
  std::jthread remover_;
  std::jthread poller_;
  std::jthread timer_;
};

}  // namespace imgrec
