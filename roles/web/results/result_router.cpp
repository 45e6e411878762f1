#include "roles/web/results/result_router.hpp"

#include <algorithm>
#include <utility>

#include "lib/base/backoff.hpp"
#include "lib/base/log.hpp"
#include "lib/job/other_version.hpp"

namespace imgrec {
namespace {

constexpr Millis kLongSleep{3'600'000};
constexpr std::size_t kCrowd = 16;  // fewer waiters than that never fill a batch
constexpr int kMeanOver = 16;       // answers, for the mean of their time
constexpr int kOldAfter = 4;        // times that mean

}  // namespace

ResultRouter::ResultRouter(Ports ports, const ResultRouterOptions& options)
    : ports_(std::move(ports)),
      options_(options),
      next_round_(ports_.clock.mono_now()),
      round_(options.round),
      delivered_(ports_.clock, {.batch_max = kBatchMax, .linger = [this](const Receipt&, std::size_t) {
                                  return options_.fifo || pending_jobs() == 0 ? Millis(0) : options_.remove_within;
                                }}) {
  remover_ = std::jthread([this] { remove_delivered(); });
  poller_ = std::jthread([this](std::stop_token stop) { poll(std::move(stop)); });
  timer_ = std::jthread([this](std::stop_token stop) { keep_time(std::move(stop)); });
}

ResultRouter::~ResultRouter() {
  stop();
}

void ResultRouter::watch(const std::shared_ptr<PendingRequest>& request) {
  bool earliest = false;
  {
    std::lock_guard lock(mutex_);
    if (!watched_.emplace(request.get(), request).second) return;
    const auto at = deadlines_.emplace(request->deadline(), request.get());
    earliest = at == deadlines_.begin();
  }
  if (earliest) waker_.wake();
}

bool ResultRouter::expect(const JobId& job, const std::shared_ptr<PendingRequest>& request, std::size_t index,
                          const OwnerId& owner) {
  return add_waiter(job, {request, index}, &owner);
}

void ResultRouter::await(const JobId& job, const std::shared_ptr<PendingRequest>& request, std::size_t index) {
  add_waiter(job, {request, index}, nullptr);
}

// owner: of an own job; null: of whichever node it is.
bool ResultRouter::add_waiter(const JobId& id, Waiter waiter, const OwnerId* owner) {
  bool first = false;
  {
    std::lock_guard lock(mutex_);
    if (!watched_.contains(waiter.request.get())) return false;  // ended meanwhile
    const MonoTime now = ports_.clock.mono_now();
    if (jobs_.empty()) busy_since_ = now;
    const auto [at, is_new] = jobs_.try_emplace(id);
    Job& job = at->second;
    if (is_new) {
      job.since = job.seen = now;
      job.place = order_.insert(order_.end(), id);
    }
    if (owner != nullptr && !std::exchange(job.own, true)) {
      job.owner = *owner;
      ++own_jobs_;
    }
    jobs_of_.emplace(waiter.request.get(), id);
    job.waiters.push_back(std::move(waiter));
    first = order_.size() == 1;
  }
  if (first) waker_.wake();
  return true;
}

// With mutex_ held. What was learnt from one crowd is not held against the next.
void ResultRouter::erase(Jobs::iterator job) {
  if (job->second.own) --own_jobs_;
  order_.erase(job->second.place);
  jobs_.erase(job);
  if (!jobs_.empty()) return;
  mean_wait_ = Millis(0);
  round_ = options_.round;
}

void ResultRouter::forget(const PendingRequest* request) {
  std::shared_ptr<PendingRequest> last_hold;  // released after the lock
  std::lock_guard lock(mutex_);
  const auto watched = watched_.find(request);
  if (watched == watched_.end()) return;
  const auto [first_job, last_job] = jobs_of_.equal_range(request);
  for (auto entry = first_job; entry != last_job; ++entry) {
    const auto job = jobs_.find(entry->second);
    if (job == jobs_.end()) continue;
    std::erase_if(job->second.waiters, [&](const Waiter& waiter) { return waiter.request.get() == request; });
    if (job->second.waiters.empty() && !job->second.own) erase(job);
  }
  jobs_of_.erase(request);
  const auto [from, to] = deadlines_.equal_range(watched->second->deadline());
  const auto deadline = std::find_if(from, to, [&](const auto& entry) { return entry.second == request; });
  if (deadline != to) deadlines_.erase(deadline);
  last_hold = std::move(watched->second);
  watched_.erase(watched);
}

void ResultRouter::drop(std::span<const JobId> jobs) {
  std::lock_guard lock(mutex_);
  for (const JobId& id : jobs) {
    const auto job = jobs_.find(id);
    if (job == jobs_.end() || !job->second.own) continue;
    job->second.own = false;
    --own_jobs_;
    if (job->second.waiters.empty()) erase(job);
  }
}

bool ResultRouter::expects(const JobId& job) const {
  std::lock_guard lock(mutex_);
  return jobs_.contains(job);
}

std::optional<OwnerId> ResultRouter::owner_of(const JobId& job) const {
  std::lock_guard lock(mutex_);
  const auto found = jobs_.find(job);
  if (found == jobs_.end() || !found->second.own) return std::nullopt;
  return found->second.owner;
}

std::size_t ResultRouter::pending_after(const JobId& job) const {
  std::lock_guard lock(mutex_);
  return static_cast<std::size_t>(
      std::ranges::count_if(jobs_, [&](const auto& entry) { return entry.second.own && entry.first > job; }));
}

void ResultRouter::end_all_at(MonoTime time) {
  {
    std::lock_guard lock(mutex_);
    end_all_at_ = time;
  }
  waker_.wake();
}

std::size_t ResultRouter::pending_jobs() const {
  std::lock_guard lock(mutex_);
  return own_jobs_;
}

std::size_t ResultRouter::waiting_clients() const {
  std::lock_guard lock(mutex_);
  return watched_.size();
}

bool ResultRouter::stalled() const {
  std::lock_guard lock(mutex_);
  const MonoTime since = last_answer_ ? std::max(busy_since_, *last_answer_) : busy_since_;
  return !jobs_.empty() && ports_.clock.mono_now() - since > options_.first_look_up;
}

bool ResultRouter::answered_within(Millis time) const {
  std::lock_guard lock(mutex_);
  return last_answer_ && ports_.clock.mono_now() - *last_answer_ < time;
}

void ResultRouter::refuse_waiting(const Error& error) {
  std::vector<std::shared_ptr<PendingRequest>> waiting;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [_, request] : watched_) {
      if (request->accepts_at_deadline()) waiting.push_back(request);
    }
  }
  for (const auto& request : waiting) request->refuse_all(error);
}

Millis ResultRouter::linger() const {
  std::lock_guard lock(mutex_);
  return imgrec::linger(options_.linger, {.more = jobs_.size() >= kCrowd, .usual = mean_wait_, .next_two = Millis(0)});
}

void ResultRouter::stop() {
  for (std::jthread* thread : {&poller_, &timer_}) {
    thread->request_stop();
    if (thread->joinable()) thread->join();
  }
  delivered_.close();
  if (remover_.joinable()) remover_.join();
  for (const auto& request : take_overdue(MonoTime::max())) request->stop();
}

void ResultRouter::poll(std::stop_token stop) {
  Backoff backoff({.base = Millis(200), .max = Millis(5'000)}, ports_.rng);
  while (!stop.stop_requested()) {
    const auto messages = ports_.responses.receive(
        {.messages_max = static_cast<int>(kBatchMax), .wait = options_.poll_wait, .visibility = options_.visibility},
        stop);
    if (!messages) {
      if (stop.stop_requested()) return;
      log::warning("cannot receive responses; trying again", {{"error", describe(messages.error())}});
      ports_.clock.sleep_for(backoff.next(), stop);
      continue;
    }
    backoff.reset();
    if (messages->empty()) continue;
    for (const Message& message : *messages) deliver(message);
    for (const Message& message : *messages) delivered_.push(message.receipt);
    // Answers come in one by one: the next call is for those that come meanwhile.
    if (messages->size() < kBatchMax) {
      if (const Millis pause = linger(); pause > Millis(0)) ports_.clock.sleep_for(pause, stop);
    }
  }
}

// What is not removed is delivered again, finds no waiter, and is removed then.
void ResultRouter::remove_delivered() {
  for (auto receipts = delivered_.take(); !receipts.empty(); receipts = delivered_.take()) {
    if (const auto removed = ports_.responses.remove(receipts, Deadline::in(ports_.clock, options_.remove_timeout));
        !removed) {
      log::warning("cannot remove responses; they will come again", {{"error", describe(removed.error())}});
    }
  }
}

void ResultRouter::deliver(const Message& message) {
  if (message.body == kProbeMessage) return;
  auto result = parse_job_result(message.body);
  if (!result && is_other_version(result.error())) {
    log::warning("dropped a response; the result itself stays in the store",
                 {{"message", message.id}, {"reason", describe(result.error())}});
    return;
  }
  if (!result) {
    log::error("dropped a response that cannot be read",
               {{"message", message.id}, {"error", describe(result.error())}});
    return;
  }
  deliver(*std::move(result), Way::queue);
}

void ResultRouter::deliver(JobResult result, Way way) {
  std::vector<Waiter> waiters;
  bool own = false;
  std::size_t pending = 0;
  {
    std::lock_guard lock(mutex_);
    if (const auto job = jobs_.find(result.job); job != jobs_.end()) {
      const MonoTime now = ports_.clock.mono_now();
      if (way != Way::cancel) last_answer_ = now;  // no worker did that
      own = job->second.own && way != Way::cancel;
      if (way == Way::queue) {
        const Millis wait = std::chrono::floor<Millis>(now - job->second.since);
        mean_wait_ = mean_wait_ == Millis(0) ? wait : mean_wait_ + (wait - mean_wait_) / kMeanOver;
      }
      waiters = std::move(job->second.waiters);
      erase(job);
    }
    pending = own_jobs_;
  }
  ports_.on_result(result);
  if (own) ports_.on_answer(pending);
  if (waiters.empty()) log::debug("response without a waiting client", {{"job", result.job}});
  for (const Waiter& waiter : waiters) waiter.request->answer(waiter.index, result);
}

void ResultRouter::keep_time(std::stop_token stop) {
  while (!stop.stop_requested()) {
    const MonoTime now = ports_.clock.mono_now();
    bool end_all = false;
    {
      std::lock_guard lock(mutex_);
      end_all = now >= end_all_at_;
    }
    for (const auto& request : take_overdue(end_all ? MonoTime::max() : now)) {
      end_all ? request->stop() : request->reach_deadline();
    }
    look_up_old_jobs(stop);
    MonoTime next{};
    {
      std::lock_guard lock(mutex_);
      next = next_event(now);
    }
    waker_.sleep_until(ports_.clock, next, stop);
  }
}

// They stay watched until their end calls forget(); only the deadline is taken out, so that it comes once.
std::vector<std::shared_ptr<PendingRequest>> ResultRouter::take_overdue(MonoTime now) {
  std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<PendingRequest>> overdue;
  if (now == MonoTime::max()) {
    for (const auto& [_, request] : watched_) overdue.push_back(request);
    deadlines_.clear();
    return overdue;
  }
  const auto end = deadlines_.upper_bound(now);
  for (auto at = deadlines_.begin(); at != end; ++at) overdue.push_back(watched_.at(at->second));
  deadlines_.erase(deadlines_.begin(), end);
  return overdue;
}

void ResultRouter::look_up_old_jobs(std::stop_token stop) {
  const std::vector<JobId> due = take_due_look_ups(ports_.clock.mono_now());
  bool found = false;
  for (const JobId& job : due) {
    if (stop.stop_requested()) return;
    const auto document = ports_.outputs.get(result_key(job), kResultBytesMax,
                                             {Deadline::in(ports_.clock, options_.look_up_timeout), stop});
    if (!document && document.error().kind == ErrorKind::not_found) {
      drop_if_lost(job);
      continue;
    }
    if (!document) {
      log::warning("cannot look up a result", {{"job", job}, {"error", describe(document.error())}});
      break;  // the store fails: this thread also keeps the clients' deadlines
    }
    auto result = parse_job_result(document->bytes);
    if (!result || result->job != job) {
      log::error("the stored result cannot be read",
                 {{"job", job}, {"error", result ? "it names another job" : describe(result.error())}});
      continue;
    }
    log::info("found a result whose response did not come", {{"job", job}});
    found = true;
    deliver(*std::move(result), Way::store);
  }
  if (!due.empty()) plan_next_round(found);
}

void ResultRouter::drop_if_lost(const JobId& id) {
  {
    std::lock_guard lock(mutex_);
    const auto job = jobs_.find(id);
    if (job == jobs_.end() || ports_.clock.mono_now() - job->second.since < options_.job_ttl) return;
  }
  log::warning("a job was not answered in its time", {{"job", id}});
  drop(std::span(&id, 1));
}

void ResultRouter::plan_next_round(bool found) {
  std::lock_guard lock(mutex_);
  if (!jobs_.empty()) round_ = found ? options_.round : std::min(2 * round_, options_.round_max);
  next_round_ = ports_.clock.mono_now() + round_;
}

// With mutex_ held.
Millis ResultRouter::look_up_after() const {
  return std::max(options_.first_look_up, kOldAfter * mean_wait_);
}

std::vector<JobId> ResultRouter::take_due_look_ups(MonoTime now) {
  std::lock_guard lock(mutex_);
  std::vector<JobId> due;
  if (now < next_round_) return due;
  while (!order_.empty() && std::ssize(due) < options_.look_ups_per_round) {
    const auto job = jobs_.find(order_.front());
    if (now - job->second.seen < look_up_after()) break;  // all others came or were looked up later
    due.push_back(job->first);
    job->second.seen = now;
    order_.splice(order_.end(), order_, job->second.place);
  }
  return due;
}

MonoTime ResultRouter::next_event(MonoTime now) const {
  MonoTime next = std::min(now + kLongSleep, end_all_at_ > now ? end_all_at_ : MonoTime::max());
  if (!deadlines_.empty()) next = std::min(next, deadlines_.begin()->first);
  if (!order_.empty()) next = std::min(next, std::max(jobs_.at(order_.front()).seen + look_up_after(), next_round_));
  return next;
}

}  // namespace imgrec
