#include "roles/worker/worker.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <mutex>
#include <semaphore>
#include <thread>
#include <utility>
#include <vector>

#include "lib/base/bounded_queue.hpp"
#include "lib/base/cpu.hpp"
#include "lib/base/ids.hpp"
#include "lib/base/linger.hpp"
#include "lib/base/log.hpp"
#include "roles/worker/completer.hpp"
#include "roles/worker/lease_keeper.hpp"
#include "roles/worker/prefetch.hpp"
#include "roles/worker/process_job.hpp"

namespace imgrec {
namespace {

// Jobs beyond those being classified, so that the store's latency hides behind inference: fetched ahead (each may hold
// an image of image.bytes_max), and storing their results (at 3 ms an image, four cover a store that takes 12 ms).
constexpr int kAheadMax = 4;
constexpr int kStoringMax = 4;
constexpr int kAnswerLingerPart = 4;      // as each worker answers only a share of the images
constexpr Millis kStartRetryMax{60'000};  // the queue may be out of reach so long at the start

class Worker {
 public:
  Worker(const WorkerSettings& settings, const WorkerPorts& ports, std::vector<std::unique_ptr<Classifier>> classifiers)
      : settings_(settings),
        ports_(ports),
        threads_(static_cast<int>(classifiers.size())),
        id_(settings.worker.id.empty() ? "worker-" + random_hex(ports.rng, 4) : settings.worker.id),
        metrics_(ports.metrics),
        classifiers_(std::move(classifiers), ports.clock),
        reading_("reading from the object store", ports.clock, ports.rng),
        storing_("storing results", ports.clock, ports.rng),
        unclassified_max_(threads_ + std::min(settings.worker.prefetch, kAheadMax)),
        unclassified_(unclassified_max_),
        inbox_(static_cast<std::size_t>(threads_ + settings.worker.prefetch)),
        leases_(ports.requests, ports.clock, settings.queue.visibility, metrics_),
        completer_(ports, leases_, metrics_,
                   {.fifo = settings.queue.fifo,
                    .abandon = abandon_.get_token(),
                    .linger = [this](const Answer& first, std::size_t count) { return linger(first, count); },
                    .linger_removal = [this] { return linger_removal(); },
                    .on_done = [this](std::size_t count) { done(static_cast<int>(count)); }}) {
    const int jobs = static_cast<int>(unclassified_max_) + std::min(settings.worker.prefetch, kStoringMax);
    for (int i = 0; i < jobs; ++i) job_threads_.emplace_back([this] { work(); });
  }

  Result<void> run(const std::stop_token& stop);

 private:
  Result<void> receive_until_end(const std::stop_token& stop);
  void take(std::vector<Message> messages);
  bool wait_for_room(const std::stop_token& stop);
  int room() const;
  PrefetchWindow wanted() const;
  bool is_refill_due() const;
  void work();
  void work_on(HeldMessage held);
  Millis linger(const Answer& first, std::size_t count) const;
  Millis linger_removal() const;
  void done(int count);
  void drain();

  const WorkerSettings& settings_;
  const WorkerPorts& ports_;
  const int threads_;
  const WorkerId id_;
  WorkerMetrics metrics_;
  ClassifierPool classifiers_;
  Retrier reading_, storing_;
  std::stop_source no_more_;  // begin no other job
  std::stop_source abandon_;  // give up those begun
  std::stop_source empty_;    // while draining: nothing is held any more
  mutable std::mutex mutex_;
  std::condition_variable_any room_;
  int held_ = 0;          // messages neither answered nor returned
  bool backlog_ = false;  // the last receive brought as many messages as it asked for
  bool draining_ = false;
  MonoTime idle_since_{};
  const std::ptrdiff_t unclassified_max_;
  std::counting_semaphore<> unclassified_;  // jobs that may begin: what is begun is not returned at a stop
  BoundedQueue<HeldMessage> inbox_;
  LeaseKeeper leases_;
  Completer completer_;
  std::vector<std::jthread> job_threads_;
};

Result<void> Worker::run(const std::stop_token& stop) {
  log::info("worker ready", {{"worker", id_}, {"threads", threads_}, {"model", classifiers_.model().name}});
  ports_.on_ready();
  auto outcome = receive_until_end(stop);
  drain();
  log::info("worker ended", {{"worker", id_}});
  return outcome;
}

Result<void> Worker::receive_until_end(const std::stop_token& stop) {
  const Millis idle_max = settings_.worker.exit_when_idle;
  OutageLog outage("receiving requests", ports_.clock);
  Backoff backoff({Millis(100), Millis(5'000)}, ports_.rng);
  const MonoTime start = ports_.clock.mono_now();
  bool received_once = false;
  {
    std::lock_guard lock(mutex_);
    idle_since_ = start;
  }
  while (wait_for_room(stop)) {
    ReceiveOptions options{.messages_max = std::min(room(), static_cast<int>(kBatchMax)),
                           .wait = settings_.worker.poll_wait,
                           .visibility = settings_.queue.visibility};
    if (idle_max > Millis(0)) options.wait = std::min(options.wait, idle_max);
    auto messages = ports_.requests.receive(options, stop);
    if (!messages) {
      if (stop.stop_requested()) break;
      const bool give_up = !is_retryable(messages.error().kind) || ports_.clock.mono_now() - start >= kStartRetryMax;
      if (!received_once && give_up) return fail(messages.error());
      outage.failed(messages.error());
      if (!ports_.clock.sleep_for(backoff.next(), stop)) break;
      continue;
    }
    outage.succeeded();
    backoff.reset();
    received_once = true;
    {
      std::lock_guard lock(mutex_);
      backlog_ = std::ssize(*messages) == options.messages_max;
    }
    if (!messages->empty()) {
      take(*std::move(messages));
      continue;
    }
    std::lock_guard lock(mutex_);
    if (idle_max > Millis(0) && held_ == 0 && ports_.clock.mono_now() - idle_since_ >= idle_max) {
      log::info("worker ends: idle", {{"idle_ms", idle_max.count()}});
      break;
    }
  }
  return {};
}

void Worker::take(std::vector<Message> messages) {
  const MonoTime now = ports_.clock.mono_now();
  const WallTime wall = ports_.clock.wall_now();
  {
    std::lock_guard lock(mutex_);
    held_ += static_cast<int>(messages.size());
  }
  for (Message& message : messages) {
    if (message.receive_count > 1) metrics_.redeliveries.add();
    leases_.hold(message.receipt);
    inbox_.push({.message = std::move(message), .received_at = now, .received_wall = wall});
  }
}

// With mutex_ held.
PrefetchWindow Worker::wanted() const {
  return prefetch_window({.threads = threads_,
                          .prefetch_max = settings_.worker.prefetch,
                          .mean_ms = classifiers_.mean_loan_ms(),
                          .backlog = backlog_});
}

// With mutex_ held.
bool Worker::is_refill_due() const {
  const PrefetchWindow window = wanted();
  return held_ < window.target && held_ <= window.refill_at;
}

// How many messages more may be held now.
int Worker::room() const {
  std::lock_guard lock(mutex_);
  return std::max(1, wanted().target - held_);
}

// False when a stop is requested.
bool Worker::wait_for_room(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  room_.wait(lock, stop, [&] { return is_refill_due(); });
  return !stop.stop_requested();
}

void Worker::work() {
  while (true) {
    unclassified_.acquire();  // never for long: whoever has begun goes on to be classified, or gives up
    auto held = inbox_.pop(no_more_.get_token());
    if (!held) break;
    ++*metrics_.in_progress;
    work_on(*std::move(held));
    --*metrics_.in_progress;
  }
  unclassified_.release();
}

void Worker::work_on(HeldMessage held) {
  bool classified = false;
  const auto let_another_begin = [&] {
    if (!std::exchange(classified, true)) unclassified_.release();
  };
  const JobContext context{.settings = settings_,
                           .ports = ports_,
                           .classifiers = classifiers_,
                           .reading = reading_,
                           .storing = storing_,
                           .worker = id_,
                           .abandon = abandon_.get_token(),
                           .on_classified = let_another_begin};
  auto end = process_job(context, std::move(held));
  let_another_begin();  // also when it ended without
  if (auto* answer = std::get_if<Answer>(&end)) {
    completer_.push(std::move(*answer));
    return;
  }
  const Return& back = std::get<Return>(end);
  leases_.release({&back.held.message.receipt, 1}, back.delay);
  metrics_.count(Outcome::returned);
  done(1);
}

// An answer waits for the next ones while this worker has some to give, and where two or more are done in that time.
Millis Worker::linger(const Answer& first, std::size_t count) const {
  {
    std::lock_guard lock(mutex_);
    if (held_ <= static_cast<int>(count)) return Millis(0);
  }
  // By the queue's clock and this machine's; where they differ much, the rule's limits hold.
  const auto queued = std::chrono::floor<Millis>(first.held.received_wall - first.held.message.sent_at);
  const auto held = std::chrono::floor<Millis>(ports_.clock.mono_now() - first.held.received_at);
  const double next_two_ms = 2 * classifiers_.mean_loan_ms().value_or(0) / threads_;
  return imgrec::linger(
      {.part = kAnswerLingerPart, .min = Millis(0), .max = settings_.worker.answer_linger_max},
      {.more = true, .usual = queued + held, .next_two = Millis(static_cast<Millis::rep>(std::ceil(next_two_ms)))});
}

// Until the worker has nothing else to do, but no longer than removal_linger: the message may be delivered again if the
// worker is killed meanwhile, and is then answered again from the store. In a FIFO queue it would hold up its group.
Millis Worker::linger_removal() const {
  std::lock_guard lock(mutex_);
  const Millis wait = settings_.worker.removal_linger;
  return imgrec::linger({.part = 1, .min = wait, .max = wait},
                        {.more = !settings_.queue.fifo && held_ > 0, .usual = wait, .next_two = Millis(0)});
}

void Worker::done(int count) {
  std::lock_guard lock(mutex_);
  held_ -= count;
  if (held_ == 0) {
    idle_since_ = ports_.clock.mono_now();
    if (draining_) empty_.request_stop();
  }
  if (is_refill_due()) room_.notify_all();
}

void Worker::drain() {
  no_more_.request_stop();
  completer_.flush();
  std::vector<Receipt> unbegun;
  while (auto held = inbox_.try_pop()) unbegun.push_back(held->message.receipt);
  if (!unbegun.empty()) {
    log::info("returning prefetched messages", {{"messages", unbegun.size()}});
    leases_.release(unbegun, Millis(0));
  }
  bool wait = false;
  {
    std::lock_guard lock(mutex_);
    held_ -= static_cast<int>(unbegun.size());
    draining_ = true;
    wait = held_ > 0;
  }
  if (wait && ports_.clock.sleep_for(settings_.worker.drain_timeout, empty_.get_token())) {
    const std::vector<Receipt> unfinished = leases_.held();
    log::warning("drain_timeout passed; returning unfinished messages", {{"messages", unfinished.size()}});
    abandon_.request_stop();
    leases_.release(unfinished, Millis(0));
  }
  // A classification under way cannot be interrupted: this waits for its end.
  for (std::jthread& thread : job_threads_) thread.join();
  completer_.close();
}

Result<void> check(const WorkerSettings& settings) {
  const auto bad = [](const char* what) { return fail(ErrorKind::invalid, "bad_worker_settings", what); };
  if (settings.worker.threads < 0 || settings.worker.threads > 1024) return bad("worker.threads is 0 (cores) to 1024.");
  if (settings.worker.prefetch < 0 || settings.worker.prefetch > 1000) return bad("worker.prefetch is 0 to 1000.");
  if (settings.worker.poll_wait < Millis(0) || settings.worker.poll_wait > Seconds(20)) {
    return bad("worker.poll_wait is 0 to 20 s.");
  }
  if (settings.queue.visibility < Seconds(1)) return bad("queue.visibility is 1 s or more.");
  if (settings.queue.receives_max < 1) return bad("queue.receives_max is 1 or more.");
  return {};
}

}  // namespace

Result<void> run_worker(const WorkerSettings& settings, WorkerPorts ports, std::stop_token stop) {
  if (auto checked = check(settings); !checked) return checked;
  const int threads = settings.worker.threads > 0 ? settings.worker.threads : usable_cores();
  std::vector<std::unique_ptr<Classifier>> classifiers;
  for (int i = 0; i < threads; ++i) {
    auto classifier = ports.make_classifier();
    if (!classifier) return fail(classifier.error());
    classifiers.push_back(*std::move(classifier));
  }
  return Worker(settings, ports, std::move(classifiers)).run(stop);
}

}  // namespace imgrec
