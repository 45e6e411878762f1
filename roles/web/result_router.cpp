#include "roles/web/result_router.hpp"

#include <algorithm>
#include <utility>

#include "lib/base/backoff.hpp"
#include "lib/base/log.hpp"

namespace imgrec {
namespace {

constexpr Millis kLongSleep{3'600'000};
constexpr std::size_t kCrowd = 16;    // fewer waiters than that never fill a batch
constexpr Millis kCrowdLingerMin{5};  // also before the first answer tells how long they take
constexpr int kMeanOver = 16;         // answers, for the mean of their time
constexpr int kOldAfter = 4;          // times that mean

}  // namespace

ResultRouter::ResultRouter(Ports ports, const ResultRouterOptions& options)
    : ports_(std::move(ports)),
      options_(options),
      next_round_(ports_.clock.mono_now()),
      round_(options.round),
      checks_now_(options.checks_min),
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

void ResultRouter::expect(const JobId& job, const std::shared_ptr<PendingRequest>& request, std::size_t index) {
  bool earliest = false;
  {
    std::lock_guard lock(mutex_);
    if (!watched_.contains(request.get())) return;  // ended meanwhile
    const MonoTime now = ports_.clock.mono_now(), first = now + options_.first_check;
    waiters_.emplace(job, Waiter{request, index, now, first, options_.first_check});
    jobs_of_.emplace(request.get(), job);
    const auto check = checks_.emplace(first, job);
    earliest = check == checks_.begin();
  }
  if (earliest) waker_.wake();
}

void ResultRouter::forget(const PendingRequest* request) {
  std::shared_ptr<PendingRequest> last_hold;  // released after the lock
  std::lock_guard lock(mutex_);
  const auto watched = watched_.find(request);
  if (watched == watched_.end()) return;
  const auto [first_job, last_job] = jobs_of_.equal_range(request);
  for (auto job = first_job; job != last_job; ++job) {
    const auto [from, to] = waiters_.equal_range(job->second);
    for (auto waiter = from; waiter != to;) {
      waiter = waiter->second.request.get() == request ? waiters_.erase(waiter) : std::next(waiter);
    }
  }
  jobs_of_.erase(request);
  const auto [from, to] = deadlines_.equal_range(watched->second->deadline());
  const auto deadline = std::find_if(from, to, [&](const auto& entry) { return entry.second == request; });
  if (deadline != to) deadlines_.erase(deadline);
  last_hold = std::move(watched->second);
  watched_.erase(watched);
  rest_if_empty();
}

// What was learnt from one crowd is not held against the next. With mutex_ held.
void ResultRouter::rest_if_empty() {
  if (!waiters_.empty()) return;
  mean_wait_ = Millis(0);
  round_ = options_.round;
}

bool ResultRouter::expects(const JobId& job) const {
  std::lock_guard lock(mutex_);
  return waiters_.contains(job);
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
  return waiters_.size();
}

std::size_t ResultRouter::waiting_clients() const {
  std::lock_guard lock(mutex_);
  return watched_.size();
}

Millis ResultRouter::linger() const {
  std::lock_guard lock(mutex_);
  if (waiters_.size() < kCrowd) return Millis(0);
  return imgrec::linger({.part = 8, .min = kCrowdLingerMin, .max = Millis(500)},
                        {.more = true, .usual = mean_wait_, .next_two = Millis(0)});
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
    if (const auto removed = ports_.responses.remove(receipts); !removed) {
      log::warning("cannot remove responses; they will come again", {{"error", describe(removed.error())}});
    }
  }
}

void ResultRouter::deliver(const Message& message) {
  auto result = parse_job_result(message.body);
  if (!result) {
    log::error("dropped a response that cannot be read",
               {{"message", message.id}, {"error", describe(result.error())}});
    return;
  }
  deliver(*std::move(result), Way::queue);
}

void ResultRouter::deliver(JobResult result, Way way) {
  std::vector<Waiter> found;
  {
    std::lock_guard lock(mutex_);
    const auto [from, to] = waiters_.equal_range(result.job);
    const MonoTime now = ports_.clock.mono_now();
    for (auto waiter = from; waiter != to; ++waiter) {
      if (way == Way::queue) {
        const Millis wait = std::chrono::floor<Millis>(now - waiter->second.since);
        mean_wait_ = mean_wait_ == Millis(0) ? wait : mean_wait_ + (wait - mean_wait_) / kMeanOver;
      }
      found.push_back(std::move(waiter->second));
    }
    waiters_.erase(from, to);
    rest_if_empty();
  }
  ports_.on_result(result);
  if (found.empty()) log::debug("response without a waiting client", {{"job", result.job}});
  for (const Waiter& waiter : found) waiter.request->answer(waiter.index, result);
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
    look_up_old_waiters(stop);
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

void ResultRouter::look_up_old_waiters(std::stop_token stop) {
  const std::vector<JobId> due = take_due_checks(ports_.clock.mono_now());
  bool found = false;
  for (const JobId& job : due) {
    if (stop.stop_requested()) return;
    const auto document = ports_.outputs.get(result_key(job), kResultBytesMax);
    if (!document) {
      if (document.error().kind != ErrorKind::not_found) {
        log::warning("cannot look up a result", {{"job", job}, {"error", describe(document.error())}});
      }
      continue;
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

void ResultRouter::plan_next_round(bool found) {
  std::lock_guard lock(mutex_);
  checks_now_ = found ? std::min(4 * checks_now_, options_.checks_max) : options_.checks_min;
  if (!waiters_.empty()) round_ = found ? options_.round : std::min(2 * round_, options_.round_max);
  next_round_ = ports_.clock.mono_now() + round_;
}

std::vector<JobId> ResultRouter::take_due_checks(MonoTime now) {
  std::lock_guard lock(mutex_);
  std::vector<JobId> due;
  if (now < next_round_) return due;
  while (!checks_.empty() && checks_.begin()->first <= now && std::ssize(due) < checks_now_) {
    const auto [at, job] = *checks_.begin();
    checks_.erase(checks_.begin());
    const auto [from, to] = waiters_.equal_range(job);
    const auto waiter = std::find_if(from, to, [&](const auto& entry) { return entry.second.next_check == at; });
    if (waiter == to) continue;  // answered meanwhile
    Waiter& old = waiter->second;
    if (const MonoTime ripe = old.since + kOldAfter * mean_wait_; ripe > now) {
      old.next_check = ripe;  // others wait as long
    } else {
      due.push_back(job);
      old.check_after = std::min(old.check_after * 2, options_.check_max);
      old.next_check = now + old.check_after;
    }
    checks_.emplace(old.next_check, job);
  }
  return due;
}

MonoTime ResultRouter::next_event(MonoTime now) const {
  MonoTime next = std::min(now + kLongSleep, end_all_at_ > now ? end_all_at_ : MonoTime::max());
  if (!deadlines_.empty()) next = std::min(next, deadlines_.begin()->first);
  if (!checks_.empty()) next = std::min(next, std::max(checks_.begin()->first, next_round_));
  return next;
}

}  // namespace imgrec
