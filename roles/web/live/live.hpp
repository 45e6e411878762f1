// The service told live: the view of it, the events of it and of jobs, and the thread that keeps both up to date.
//
// Threads  safe. A document's getter may read the store (it blocks, so it runs in the pool); nothing else blocks.
#pragma once

#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>

#include "lib/base/outage_log.hpp"
#include "lib/base/waker.hpp"
#include "lib/job/job.hpp"
#include "roles/web/live/event_hub.hpp"
#include "roles/web/live/live_json.hpp"
#include "roles/web/live/service_view.hpp"

namespace imgrec {

class Live {
 public:
  struct Ports {
    ObjectStore& outputs;
    Clock& clock;
    Rng& rng;
    std::function<std::size_t()> pending_jobs;  // of this node
    std::stop_token abort{};
  };
  struct Options {
    std::string node;            // this web node's name
    Millis watched_for{30'000};  // after a document was asked for, somebody counts as watching
    Millis seldom{60'000};       // between two reads of the status while nobody watches
    Millis call_timeout{5'000};
    std::size_t jobs_max = 20'000;  // under way, of which events are told
    EventHub::Options events{};
  };
  Live(Ports ports, const Options& options);
  ~Live();

  // The documents. Each is as new as the controller publishes.
  std::string status();
  std::string fleet();
  std::string timeseries(const SeriesAsked& asked);

  /// Returns false when there are too many readers.
  bool subscribe(EventReader reader, const EventHub::OpenStream& open);
  EventHub& events() { return hub_; }

  // What becomes of the jobs of this node. Each state is told once.
  void job_queued(const JobRequest& request);
  void job_ended(const JobResult& result);
  /// Other states, such as "cancelled"; the job is not under way any more.
  void job_left(const JobId& job, std::string_view state);

  /// Ends the streams and the thread.
  void stop();

 private:
  struct Job {
    SessionId session;
    std::string name;
  };

  void run(std::stop_token stop);
  void look(Millis age_max);
  void tell_news(std::span<const ServiceSample> samples);
  Millis reads_every() const;
  NodeStatus node() const;
  std::string snapshot(const EventReader& reader) const;
  std::optional<Job> take(const JobId& job);
  void tell_job(const Job& job, const JobId& id, std::string_view state, std::string_view label);

  Ports ports_;
  const Options options_;
  ServiceView view_;
  EventHub hub_;
  mutable std::mutex mutex_;
  std::unordered_map<JobId, Job> jobs_;
  std::deque<JobId> job_order_;  // oldest first, also of jobs that are over
  std::optional<MonoTime> asked_at_;
  std::optional<WallTime> told_at_;        // of the status that was told last
  std::optional<WallTime> decided_until_;  // of the latest decision that was told
  std::string told_fleet_;
  bool told_current_ = false;
  std::mutex telling_;  // one round of news at a time
  Waker waker_;
  std::jthread thread_;
};

}  // namespace imgrec
