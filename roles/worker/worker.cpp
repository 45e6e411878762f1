#include "roles/worker/worker.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <semaphore>
#include <thread>
#include <utility>
#include <vector>

#include "lib/base/bounded_queue.hpp"
#include "lib/base/cpu.hpp"
#include "lib/base/ids.hpp"
#include "lib/base/linger.hpp"
#include "lib/base/log.hpp"
#include "roles/worker/check_settings.hpp"
#include "roles/worker/completer.hpp"
#include "roles/worker/fetch_object.hpp"
#include "roles/worker/idle_end.hpp"
#include "roles/worker/lease_keeper.hpp"
#include "roles/worker/prefetch.hpp"
#include "roles/worker/process_job.hpp"
#include "roles/worker/shutdown.hpp"
#include "roles/worker/start_report.hpp"

namespace imgrec {
namespace {

// Jobs beyond those being classified, so that the store's latency hides behind inference: fetched ahead (each may hold
// an image of image.bytes_max), and storing their results (at 3 ms an image, four cover a store that takes 12 ms).
constexpr int kAheadMax = 4;
constexpr int kStoringMax = 4;
constexpr int kAnswerLingerPart = 4;      // as each worker answers only a share of the images
constexpr Millis kOutagePoll{200};        // how often an outage's end is looked for
constexpr Millis kStartRetryMax{60'000};  // the queue may be out of reach so long at the start

class Worker {
 public:
  Worker(const WorkerSettings& settings, const WorkerPorts& ports, std::vector<std::unique_ptr<Classifier>> classifiers)
      : settings_(settings),
        ports_(ports),
        threads_(static_cast<int>(classifiers.size())),
        id_(settings.worker.id),
        metrics_(ports.metrics),
        classifiers_(std::move(classifiers), ports.clock),
        engine_(settings.worker.engine_failures_max),
        reading_("reading from the object store", ports.clock, ports.rng,
                 input_dependency(settings.worker.outage_hold_max)),
        storing_("storing results", ports.clock, ports.rng,
                 {.hold_max = settings.worker.outage_hold_max,
                  .is_outage = [](const Error& error) { return error.kind != ErrorKind::cancelled; }}),
        objects_("reading objects of others", ports.clock, ports.rng,
                 object_dependency(settings.worker.outage_hold_max)),
        unclassified_max_(threads_ + std::min(settings.worker.prefetch, kAheadMax)),
        unclassified_(unclassified_max_),
        inbox_(static_cast<std::size_t>(threads_ + settings.worker.prefetch)),
        shutdown_(ports.replies, ports.clock, ports.rng,
                  {.requests = settings.queue.shutdown_request,
                   .confirmations = settings.queue.shutdown_confirmed,
                   .instance = InstanceId(settings.worker.id),
                   .app_tier_id = settings.worker.app_tier_id,
                   // A worker that no fleet started is nobody's to end, and the base worker never ends.
                   .check = settings.worker.app_tier_id.empty() ||
                                    settings.worker.app_tier_id == settings.worker.base_app_tier
                                ? Millis(0)
                                : settings.worker.shutdown_check}),
        idle_end_(ports.outputs, ports.clock, idle_end_options(settings.worker)),
        leases_(ports.requests, ports.clock, settings.queue.visibility, metrics_),
        completer_(ports, leases_, metrics_,
                   {.fifo = settings.queue.fifo,
                    .abandon = abandon_.get_token(),
                    .outage_hold_max = settings.worker.outage_hold_max,
                    .linger = [this](const Answer& first, std::size_t count) { return linger(first, count); },
                    .linger_removal = [this] { return linger_removal(); },
                    .on_done = [this](std::size_t count) { done(static_cast<int>(count)); }}) {
    const int jobs = static_cast<int>(unclassified_max_) + std::min(settings.worker.prefetch, kStoringMax);
    for (int i = 0; i < jobs; ++i) job_threads_.emplace_back([this] { work(); });
  }

  Result<void> run(const std::stop_token& stop);

 private:
  Result<void> receive_until_end(const std::stop_token& stop);
  Result<std::vector<Message>> receive(int messages_max, const std::stop_token& stop);
  void take(std::vector<Message> messages);
  bool wait_for_room(const std::stop_token& stop);
  bool wait_out_outage(const std::stop_token& stop);
  bool holds_nothing() const;
  bool services_work() const { return reading_.works() && storing_.works() && completer_.works(); }
  void park(HeldMessage suspect);
  std::deque<HeldMessage> take_suspects();
  bool work_on_suspect(const std::stop_token& stop);
  int room() const;
  PrefetchWindow wanted() const;
  bool is_refill_due() const;
  void work();
  void work_on(HeldMessage held);
  void lose_engine(const Error& error);
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
  EngineCheck engine_;
  Dependency reading_, storing_, objects_;
  std::stop_source end_;      // receive no more: stopped from outside, or the engine is lost
  std::stop_source no_more_;  // begin no other job
  std::stop_source abandon_;  // give up those begun
  mutable std::mutex mutex_;
  std::condition_variable_any room_;
  int held_ = 0;                      // messages neither answered nor returned
  std::deque<HeldMessage> suspects_;  // each waits until nothing else is in work
  std::stop_source poll_;             // ends the receive call under way
  std::optional<Error> engine_lost_;
  bool backlog_ = false;  // the last receive brought as many messages as it asked for
  MonoTime idle_since_{};
  bool asked_to_stop_ = false;  // of the receiving thread
  const std::ptrdiff_t unclassified_max_;
  std::counting_semaphore<> unclassified_;  // jobs that may begin: what is begun is not returned at a stop
  BoundedQueue<HeldMessage> inbox_;
  Shutdown shutdown_;
  IdleEnd idle_end_;
  LeaseKeeper leases_;
  Completer completer_;
  std::vector<std::jthread> job_threads_;
};

Result<void> Worker::run(const std::stop_token& stop) {
  log::info("worker ready", {{"worker", id_}, {"threads", threads_}, {"model", classifiers_.model().name}});
  ports_.on_ready();
  withdraw_start_failure({.results = ports_.outputs, .clock = ports_.clock}, stop);
  const std::stop_callback ends(stop, [this] { end_.request_stop(); });
  auto outcome = receive_until_end(end_.get_token());
  drain();
  if (asked_to_stop_) shutdown_.confirm_and_wait(stop);
  log::info("worker ended", {{"worker", id_}});
  if (engine_lost_) return fail(*engine_lost_);  // no thread is left that could write it
  return outcome;
}

Result<void> Worker::receive_until_end(const std::stop_token& stop) {
  OutageLog outage("receiving requests", ports_.clock);
  Backoff backoff({Millis(100), Millis(5'000)}, ports_.rng);
  const MonoTime start = ports_.clock.mono_now();
  bool received_once = false;
  bool found_nothing = false;  // the last receive brought no message: there is nothing to do
  bool one_by_one = false;     // more suspects may follow, each to be worked on alone: no use in holding several
  {
    std::lock_guard lock(mutex_);
    idle_since_ = start;
  }
  while (wait_for_room(stop)) {
    if (work_on_suspect(stop)) {
      one_by_one = true;
      continue;
    }
    if (!wait_out_outage(stop)) break;
    if (found_nothing && holds_nothing() && shutdown_.take(stop)) {
      asked_to_stop_ = true;
      break;
    }
    if (!services_work()) one_by_one = true;  // the one message tries whether they do again
    const int messages_max = one_by_one ? 1 : std::min(room(), static_cast<int>(kBatchMax));
    auto messages = receive(messages_max, stop);
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
    found_nothing = messages->empty();
    one_by_one = !messages->empty() && !messages->front().is_first_delivery();
    {
      std::lock_guard lock(mutex_);
      backlog_ = std::ssize(*messages) == messages_max;
    }
    if (!messages->empty()) {
      take(*std::move(messages));
      continue;
    }
    if (holds_nothing() && idle_end_.is_due(ports_.clock.mono_now() - idle_since_, stop)) break;
  }
  return {};
}

// Also returns, with what has come, when a suspect is parked meanwhile.
Result<std::vector<Message>> Worker::receive(int messages_max, const std::stop_token& stop) {
  ReceiveOptions options{
      .messages_max = messages_max, .wait = settings_.worker.poll_wait, .visibility = settings_.queue.visibility};
  // Also while there is work: it may be done long before the poll is.
  options.wait = std::min({options.wait, idle_end_.wait_max(), shutdown_.wait_max()});
  std::stop_source poll;
  {
    std::lock_guard lock(mutex_);
    if (!suspects_.empty()) return std::vector<Message>();
    poll_ = poll;
  }
  const std::stop_callback on_stop(stop, [&poll] { poll.request_stop(); });
  auto messages = ports_.requests.receive(options, poll.get_token());
  if (!messages && messages.error().kind == ErrorKind::cancelled && !stop.stop_requested())
    return std::vector<Message>();
  return messages;
}

void Worker::take(std::vector<Message> messages) {
  const MonoTime now = ports_.clock.mono_now();
  const WallTime wall = ports_.clock.wall_now();
  {
    std::lock_guard lock(mutex_);
    ports_.on_holding(held_ += static_cast<int>(messages.size()), 0);
  }
  for (Message& message : messages) {
    if (message.receive_count > 1) metrics_.redeliveries.add();
    leases_.hold(message.receipt);
    inbox_.push({.message = std::move(message), .received_at = now, .received_wall = wall});
  }
}

bool Worker::holds_nothing() const {
  std::lock_guard lock(mutex_);
  return held_ == 0;
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

std::deque<HeldMessage> Worker::take_suspects() {
  std::lock_guard lock(mutex_);
  return std::exchange(suspects_, {});
}

// How many messages more may be held now.
int Worker::room() const {
  std::lock_guard lock(mutex_);
  return std::max(1, wanted().target - held_);
}

// Waits until messages may be received, or a suspect may be worked on. Returns false when a stop is requested.
bool Worker::wait_for_room(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  room_.wait(lock, stop,
             [&] { return suspects_.empty() ? is_refill_due() : held_ == static_cast<int>(suspects_.size()); });
  return !stop.stop_requested();
}

// While a store or a queue fails nothing more is received. What is held tries whether it works again; when all of it
// was returned, one message more is received for that. Returns false when a stop is requested.
bool Worker::wait_out_outage(const std::stop_token& stop) {
  while (!services_work()) {
    {
      std::lock_guard lock(mutex_);
      if (!suspects_.empty()) return true;
      const bool due = reading_.may_be_tried() && storing_.may_be_tried() && completer_.may_be_tried();
      if (held_ == 0 && due) return true;
    }
    if (!ports_.clock.sleep_for(kOutagePoll, stop)) return false;
  }
  return true;
}

// The suspect is worked on when nothing else is in work: if the worker dies, it is the only one at which it can have
// died. Meanwhile nothing is received.
void Worker::park(HeldMessage suspect) {
  std::lock_guard lock(mutex_);
  suspects_.push_back(std::move(suspect));
  poll_.request_stop();
  room_.notify_all();
}

// Returns false when there is none. Other suspects go back first: to other workers, or to this one later. In a FIFO
// queue a group's next message comes only when this one is done, as always.
bool Worker::work_on_suspect(const std::stop_token& stop) {
  std::vector<Receipt> others;
  {
    std::lock_guard lock(mutex_);
    if (suspects_.empty() || held_ != static_cast<int>(suspects_.size())) return false;
    for (std::size_t i = 1; i < suspects_.size(); ++i) others.push_back(suspects_[i].message.receipt);
  }
  if (!others.empty()) leases_.release(others, Millis(0));
  std::unique_lock lock(mutex_);
  HeldMessage suspect = std::move(suspects_.front());
  suspects_.clear();
  ports_.on_holding(held_ = 1, 0);
  suspect.alone = true;
  inbox_.push(std::move(suspect));
  room_.wait(lock, stop, [&] { return held_ == 0; });
  return true;
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
                           .objects = objects_,
                           .engine = engine_,
                           .metrics = metrics_,
                           .worker = id_,
                           .abandon = abandon_.get_token(),
                           .on_classified = let_another_begin,
                           .on_engine_lost = [this](const Error& error) { lose_engine(error); }};
  auto end = process_job(context, std::move(held));
  let_another_begin();  // also when it ended without
  if (auto* answer = std::get_if<Answer>(&end)) {
    completer_.push(std::move(*answer));
    return;
  }
  if (auto* suspect = std::get_if<Suspect>(&end)) {
    park(std::move(suspect->held));
    return;
  }
  const Return& returned = std::get<Return>(end);
  leases_.release({&returned.held.message.receipt, 1}, returned.delay);
  metrics_.count(Outcome::returned);
  done(1);
}

// Everything held goes back, and the process ends: this machine or this model cannot do the work.
void Worker::lose_engine(const Error& error) {
  {
    std::lock_guard lock(mutex_);
    if (!engine_lost_) engine_lost_ = error;
  }
  log::error("the engine cannot be used here; the worker ends", {{"error", describe(error)}});
  end_.request_stop();
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
                        {.more = !settings_.queue.fifo && held_ > static_cast<int>(suspects_.size()),
                         .usual = wait,
                         .next_two = Millis(0)});
}

void Worker::done(int count) {
  std::lock_guard lock(mutex_);
  ports_.on_holding(held_ -= count, count);
  if (held_ == 0) idle_since_ = ports_.clock.mono_now();
  room_.notify_all();
}

// Whatever hangs, it returns no later than a few seconds after drain_timeout, or after the classifications under way:
// those cannot be interrupted.
void Worker::drain() {
  ports_.on_drain();
  const MonoTime end = ports_.clock.mono_now() + settings_.worker.drain_timeout;
  const std::jthread limiter([&](const std::stop_token& drained) {
    if (!ports_.clock.sleep_until(end, drained)) return;
    abandon_.request_stop();
    const std::size_t unfinished = leases_.release_all();
    log::warning("drain_timeout passed; returning unfinished messages", {{"messages", unfinished}});
  });
  no_more_.request_stop();
  completer_.flush();
  std::vector<Receipt> unbegun;
  while (auto held = inbox_.try_pop()) unbegun.push_back(held->message.receipt);
  for (const HeldMessage& suspect : take_suspects()) unbegun.push_back(suspect.message.receipt);
  if (!unbegun.empty()) {
    log::info("returning prefetched messages", {{"messages", unbegun.size()}});
    leases_.release(unbegun, Millis(0));
  }
  for (std::jthread& thread : job_threads_) thread.join();
  completer_.close();
  leases_.release_all();
}

}  // namespace

Result<void> run_worker(const WorkerSettings& settings, WorkerPorts ports, std::stop_token stop) {
  if (auto checked = check_settings(settings); !checked) return checked;
  const int threads = settings.worker.threads > 0 ? settings.worker.threads : usable_cores();
  std::vector<std::unique_ptr<Classifier>> classifiers;
  for (int i = 0; i < threads; ++i) {
    auto classifier = ports.make_classifier();
    if (!classifier) {
      report_start_failure({.results = ports.outputs, .clock = ports.clock}, settings.worker.id, settings.version,
                           classifier.error(), stop);
      return fail(classifier.error());
    }
    classifiers.push_back(*std::move(classifier));
  }
  return Worker(settings, ports, std::move(classifiers)).run(stop);
}

}  // namespace imgrec
