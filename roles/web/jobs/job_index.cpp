#include "roles/web/jobs/job_index.hpp"

#include <algorithm>
#include <functional>
#include <utility>

#include "lib/base/log.hpp"
#include "lib/base/outage_log.hpp"
#include "lib/base/text.hpp"

namespace imgrec {
namespace {

constexpr Millis kLongSleep{3'600'000};
constexpr std::size_t kPageNonceBytes = 6;

// At most so many bytes, and no part of a character.
std::string shortened(std::string_view name) {
  if (name.size() <= kIndexedNameMax) return std::string(name);
  std::size_t end = kIndexedNameMax;
  while (end > 0 && (static_cast<unsigned char>(name[end]) & 0xC0U) == 0x80U) --end;
  return std::string(name.substr(0, end));
}

// Takes jobs for one page from the end of a list that is sorted by id, the latest last: as many as belong together.
std::vector<IndexedJob> take_page(std::vector<IndexedJob>& jobs) {
  const WallTime latest = time_of(jobs.back().job);
  std::vector<IndexedJob> page;
  while (!jobs.empty() && page.size() < kPageJobsMax && latest - time_of(jobs.back().job) <= kPageSpan) {
    page.push_back(std::move(jobs.back()));
    jobs.pop_back();
  }
  return page;
}

}  // namespace

class JobIndex::Lane {
 public:
  Lane(Ports ports, const JobIndexOptions& options, std::size_t waiting_max)
      : ports_(ports),
        options_(options),
        waiting_max_(waiting_max),
        writes_(ports.metrics.counter("imgrec_web_index_writes_total", "Pages of jobs stored, for GET /v1/jobs.")),
        lost_(ports.metrics.counter("imgrec_web_index_lost_total",
                                    "Jobs that GET /v1/jobs does not list, as they could not be written down.")),
        outage_("writing down whose jobs are whose", ports.clock),
        backoff_(options.backoff, ports.rng),
        thread_([this](std::stop_token stop) { run(stop); }) {}

  void add(const OwnerId& owner, IndexedJob job) {
    bool wake = false;
    {
      std::lock_guard lock(mutex_);
      if (waiting_ >= waiting_max_) {
        lost_.add();
        return;
      }
      ++waiting_;
      Waiting& own = owners_[owner];
      if (own.jobs.empty() && !own.writing) {
        own.due = ports_.clock.mono_now() + options_.linger;
        order_.push_back(owner);
        wake = order_.size() == 1;  // else the thread wakes before that anyhow
      }
      own.jobs.push_back(std::move(job));
      if (own.jobs.size() == kPageJobsMax) {
        own.due = MonoTime::min();
        wake = true;
      }
    }
    if (wake) waker_.wake();
  }

  std::vector<IndexedJob> unwritten(const OwnerId& owner) const {
    std::lock_guard lock(mutex_);
    const auto found = owners_.find(owner);
    if (found == owners_.end()) return {};
    std::vector<IndexedJob> jobs = found->second.jobs;
    if (found->second.writing) jobs.insert(jobs.end(), being_written_.begin(), being_written_.end());
    return jobs;
  }

  void stop() {
    thread_.request_stop();
    if (thread_.joinable()) thread_.join();
  }

 private:
  struct Waiting {
    std::vector<IndexedJob> jobs;
    MonoTime due{};
    bool writing = false;
  };

  void run(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      const MonoTime next = write_due(ports_.clock.mono_now(), Deadline::never());
      waker_.sleep_until(ports_.clock, next, stop);
    }
    const Deadline end = Deadline::in(ports_.clock, options_.end_max);
    paused_until_ = MonoTime::min();
    write_due(MonoTime::max(), end);
    std::lock_guard lock(mutex_);
    if (waiting_ == 0) return;
    lost_.add(static_cast<double>(waiting_));
    log::warning("some jobs are not written down: GET /v1/jobs does not list them", {{"jobs", waiting_}});
  }

  // Writes for every owner whose time has come. Returns when to look again.
  MonoTime write_due(MonoTime now, Deadline end) {
    while (true) {
      OwnerId owner;
      {
        std::lock_guard lock(mutex_);
        MonoTime next = now == MonoTime::max() ? now : now + kLongSleep;
        if (now < paused_until_) return paused_until_;
        const auto due = std::ranges::find_if(order_, [&](const OwnerId& one) {
          next = std::min(next, owners_.at(one).due);
          return owners_.at(one).due <= now;
        });
        if (due == order_.end()) return next;
        owner = *due;
        order_.erase(due);
        Waiting& own = owners_.at(owner);
        own.writing = true;
        being_written_ = std::exchange(own.jobs, {});
        std::ranges::sort(being_written_, {}, &IndexedJob::job);
      }
      if (!write(owner, end)) return paused_until_;
    }
  }

  // Returns false when the store fails: the jobs wait for the next attempt.
  bool write(const OwnerId& owner, Deadline end) {
    std::vector<IndexedJob> left = being_written_;  // only this thread changes it
    bool stored = true;
    while (stored && !left.empty()) {
      const std::vector<IndexedJob> page = take_page(left);
      const ObjectKey key = index_key(owner, time_of(page.front().job), random_hex(ports_.rng, kPageNonceBytes));
      const Deadline within = earlier(end, Deadline::in(ports_.clock, options_.put_timeout));
      const auto put = ports_.store.put(key, to_json(page), {.content_type = "application/json"}, within);
      stored = put.has_value();
      if (stored) {
        writes_.add();
        outage_.succeeded();
        backoff_.reset();
      } else {
        left.insert(left.end(), page.rbegin(), page.rend());
        outage_.failed(put.error());
        paused_until_ = ports_.clock.mono_now() + backoff_.next();
      }
    }
    std::lock_guard lock(mutex_);
    waiting_ -= being_written_.size() - left.size();
    being_written_.clear();
    const auto own = owners_.find(owner);
    own->second.writing = false;
    own->second.jobs.insert(own->second.jobs.end(), left.begin(), left.end());
    if (own->second.jobs.empty()) {
      owners_.erase(own);
    } else {  // what came meanwhile, or could not be written
      own->second.due = ports_.clock.mono_now() + (stored ? options_.linger : Millis(0));
      order_.push_back(owner);
    }
    return stored;
  }

  const Ports ports_;
  const JobIndexOptions options_;
  const std::size_t waiting_max_;
  Metrics::Counter& writes_;
  Metrics::Counter& lost_;
  mutable std::mutex mutex_;
  std::map<OwnerId, Waiting> owners_;
  std::deque<OwnerId> order_;  // those that have jobs and are not being written, in the order in which they came
  std::vector<IndexedJob> being_written_;
  std::size_t waiting_ = 0;  // jobs, with those being written
  OutageLog outage_;         // from here on of the thread alone
  Backoff backoff_;
  MonoTime paused_until_ = MonoTime::min();
  Waker waker_;
  std::jthread thread_;
};

JobIndex::JobIndex(Ports ports, const JobIndexOptions& options) {
  for (auto& lane : lanes_) lane = std::make_unique<Lane>(ports, options, options.waiting_max / lanes_.size());
}

JobIndex::~JobIndex() {
  stop();
}

JobIndex::Lane& JobIndex::lane_of(const OwnerId& owner) const {
  return *lanes_[std::hash<OwnerId>{}(owner) % lanes_.size()];
}

void JobIndex::add(const OwnerId& owner, const JobId& job, std::string_view name) {
  if (owner.empty()) return;
  lane_of(owner).add(owner, {.job = job, .name = shortened(to_valid_utf8(name))});
}

std::vector<IndexedJob> JobIndex::unwritten(const OwnerId& owner) const {
  return lane_of(owner).unwritten(owner);
}

void JobIndex::stop() {
  for (const auto& lane : lanes_) lane->stop();
}

}  // namespace imgrec
