#include "roles/web/upload/upload.hpp"

#include <algorithm>
#include <utility>

#include "lib/base/log.hpp"

namespace imgrec {
namespace {

constexpr Millis kLongSleep{3'600'000};
constexpr Millis kProbePause{100};             // until a probe that was handed to the pool is under way
constexpr Millis kOutageKnown{10'000};         // a failure longer ago tells nothing when no image waits
constexpr std::size_t kRemovedAtOnce = 1'000;  // ObjectStore::remove

// Anything but a fault of the image itself or the end of this program: it goes away, however long that takes.
bool is_outage(const Error& error) {
  return error.kind != ErrorKind::invalid && error.kind != ErrorKind::bug && error.kind != ErrorKind::cancelled;
}

}  // namespace

Error refusal_of(const Error& outage) {
  return {ErrorKind::transient, outage.code,
          "The service cannot store or queue images at the moment, and has not kept this one. Send it again later; the "
          "server's log says what is wrong."};
}

Uploader::Uploader(Ports ports, const UploadOptions& options)
    : ports_(ports),
      options_(options),
      store_{.breaker = CircuitBreaker("storing images", ports.clock, ports.rng, options.backoff)},
      queue_{.breaker = CircuitBreaker("queueing images", ports.clock, ports.rng, options.backoff)},
      batcher_(ports.requests, ports.clock,
               {.send_timeout = options.send_timeout, .abort = ports.abort, .linger = [router = &ports.router] {
                  return router->linger();
                }}) {
  prober_ = std::jthread([this](std::stop_token stop) { keep_probing(std::move(stop)); });
}

Uploader::~Uploader() {
  stop();
}

void Uploader::stop() {
  prober_.request_stop();
  if (prober_.joinable()) prober_.join();
  batcher_.stop();
}

void Uploader::start(std::vector<ImageUpload> images) {
  for (ImageUpload& image : images) {
    const bool is_last = &image == &images.back();
    auto upload = std::make_shared<Upload>(Upload{.image = std::move(image)});
    if (is_last) {
      attempt(upload);
    } else {
      enqueue(std::move(upload));
    }
  }
}

std::size_t Uploader::delayed() const {
  std::lock_guard lock(mutex_);
  return store_.waiting.size() + queue_.waiting.size();
}

std::optional<Error> Uploader::outage_of(const Dependency& dependency) const {
  const auto outage = dependency.breaker.outage();
  const MonoTime now = ports_.clock.mono_now();
  if (!outage || now - outage->since < options_.outage_max) return std::nullopt;
  if (now - outage->failed_at > kOutageKnown && delayed() == 0) return std::nullopt;
  return outage->error;
}

std::optional<Error> Uploader::outage() const {
  auto error = outage_of(store_);
  return error ? error : outage_of(queue_);
}

void Uploader::enqueue(UploadPtr upload) {
  {
    std::lock_guard lock(mutex_);
    ready_.push_back(std::move(upload));
  }
  post_runner();
}

void Uploader::post_runner() {
  {
    std::lock_guard lock(mutex_);
    if (runners_ >= std::min(ready_.size(), ports_.pool.threads())) return;
    ++runners_;
  }
  if (ports_.pool.try_post([this] { run_ready(); })) return;
  std::lock_guard lock(mutex_);
  --runners_;  // the pool is full; the prober tries again
}

// One image a task, so that other work of the pool comes in between.
void Uploader::run_ready() {
  do {
    UploadPtr upload;
    {
      std::lock_guard lock(mutex_);
      if (ready_.empty()) {
        --runners_;
        return;
      }
      upload = std::move(ready_.front());
      ready_.pop_front();
    }
    attempt(upload);
  } while (!ports_.pool.try_post([this] { run_ready(); }));
}

void Uploader::attempt(const UploadPtr& upload) {
  try {
    if (upload->stored || store(upload)) send(upload);
  } catch (const std::exception& exception) {
    log::error("an upload failed with an exception", {{"job", upload->image.job.job}, {"what", exception.what()}});
    upload->image.request->refuse(upload->image.index,
                                  {ErrorKind::bug, "internal_error", "The server failed; its log tells why."});
  }
}

// Returns true when the image is stored and its answer is expected.
bool Uploader::store(const UploadPtr& upload) {
  ImageUpload& image = upload->image;
  if (image.request->ended()) return false;  // nobody waits for it any more
  if (!store_.breaker.admits()) {
    wait_for(store_, upload);
    return false;
  }
  // Computed once: it was a quarter of what an upload costs, and what S3 stores is checked against what was received.
  const PutOptions put{.sha256 = image.job.input.sha256};
  const auto outcome = ports_.inputs.put(image.job.input.key, image.bytes, put, limits(options_.put_timeout));
  if (!outcome) {
    failed(store_, upload, outcome.error());
    return false;
  }
  if (store_.breaker.succeeded()) release(store_);
  upload->stored = true;
  image.body.reset();
  image.bytes = {};
  if (ports_.router.expect(image.job.job, image.request, image.index, image.job.owner)) return true;
  cancel(image);
  return false;
}

void Uploader::send(const UploadPtr& upload) {
  const ImageUpload& image = upload->image;
  if (image.request->ended()) return cancel(image);
  if (!queue_.breaker.admits()) return wait_for(queue_, upload);
  OutgoingMessage message;
  message.body = to_json(image.job);
  if (options_.fifo) {
    message.group_id = image.job.session.str();
    message.dedup_id = image.job.job.str();
  }
  ports_.on_queued(image.job);
  batcher_.push(std::move(message), [this, upload](Result<MessageId> outcome) { sent(upload, std::move(outcome)); });
}

void Uploader::sent(const UploadPtr& upload, Result<MessageId> outcome) {
  if (!outcome) return failed(queue_, upload, outcome.error());
  if (queue_.breaker.succeeded()) release(queue_);
  ports_.on_sent(upload->image.job);
  log::debug("image queued", {{"job", upload->image.job.job}, {"bytes", upload->image.job.input.bytes}});
  upload->image.request->queued(upload->image.index);
}

void Uploader::failed(Dependency& dependency, const UploadPtr& upload, const Error& error) {
  if (is_outage(error)) {
    dependency.breaker.failed(error);
    if (const auto outage = outage_of(dependency); outage && !upload->image.held) return refuse(upload, *outage);
    return wait_for(dependency, upload);
  }
  dependency.breaker.withdrawn();
  log::warning("an image was not accepted", {{"job", upload->image.job.job}, {"error", describe(error)}});
  upload->image.request->refuse(upload->image.index, error);
}

void Uploader::wait_for(Dependency& dependency, const UploadPtr& upload) {
  {
    std::lock_guard lock(mutex_);
    dependency.waiting.push_back(upload);
  }
  waker_.wake();
}

void Uploader::release(Dependency& dependency) {
  std::size_t runners = 0;
  {
    std::lock_guard lock(mutex_);
    std::ranges::move(dependency.waiting, std::back_inserter(ready_));
    dependency.waiting.clear();
    runners = std::min(ready_.size(), ports_.pool.threads());
  }
  for (std::size_t i = 0; i < runners; ++i) post_runner();
}

void Uploader::cancel(const std::vector<JobId>& jobs, const OwnerId& owner) {
  ports_.router.drop(jobs);
  for (const JobId& job : jobs) ports_.on_cancelled(job);
  {
    std::lock_guard lock(mutex_);
    for (const JobId& job : jobs) cancelled_.push_back(input_key(job, owner));
    if (std::exchange(removing_, true)) return;
  }
  if (ports_.pool.try_post([this] { remove_cancelled(); })) return;
  std::lock_guard lock(mutex_);
  removing_ = false;  // the next to be cancelled takes them along
}

void Uploader::remove_cancelled() {
  for (;;) {
    std::vector<ObjectKey> keys;
    {
      std::lock_guard lock(mutex_);
      const auto end = cancelled_.begin() + static_cast<std::ptrdiff_t>(std::min(cancelled_.size(), kRemovedAtOnce));
      keys.assign(std::make_move_iterator(cancelled_.begin()), std::make_move_iterator(end));
      cancelled_.erase(cancelled_.begin(), end);
      if (keys.empty()) {
        removing_ = false;
        return;
      }
    }
    // An image that stays is classified for nobody, no more.
    if (const auto removed = ports_.inputs.remove(keys, limits(options_.remove_timeout)); !removed) {
      log::warning("cannot remove the images of clients that have left", {{"error", describe(removed.error())}});
    }
  }
}

void Uploader::keep_probing(std::stop_token stop) {
  while (!stop.stop_requested()) {
    const MonoTime now = ports_.clock.mono_now();
    const MonoTime next = std::min(probe(store_, now), probe(queue_, now));
    post_runner();
    waker_.sleep_until(ports_.clock, next, stop);
  }
}

// Hands one waiting image to the pool when its time has come. Returns when to look again.
MonoTime Uploader::probe(Dependency& dependency, MonoTime now) {
  forget_hopeless(dependency);
  if (!dependency.breaker.outage()) release(dependency);  // it ended while an image joined those that wait
  UploadPtr first;
  {
    std::lock_guard lock(mutex_);
    if (dependency.waiting.empty()) return ready_.empty() ? now + kLongSleep : now + kProbePause;
    const auto due = dependency.breaker.next_probe();
    if (!due) return now + kProbePause;
    if (*due > now) return *due;
    first = std::move(dependency.waiting.front());
    dependency.waiting.pop_front();
  }
  enqueue(std::move(first));
  return now + kProbePause;
}

// Drops the images whose request has ended, and in a long outage refuses those that need not be held, but for the
// first: it is the next probe.
void Uploader::forget_hopeless(Dependency& dependency) {
  const auto error = outage_of(dependency);
  std::vector<UploadPtr> hopeless;
  {
    std::lock_guard lock(mutex_);
    bool first = true;
    const auto from = std::ranges::stable_partition(dependency.waiting, [&](const UploadPtr& upload) {
      return !upload->image.request->ended() && (std::exchange(first, false) || upload->image.held || !error);
    });
    std::ranges::move(from, std::back_inserter(hopeless));
    dependency.waiting.erase(from.begin(), from.end());
  }
  for (const UploadPtr& upload : hopeless) {
    if (error) {
      refuse(upload, *error);
    } else if (upload->stored) {
      cancel(upload->image);
    }
  }
}

void Uploader::refuse(const UploadPtr& upload, const Error& outage) {
  if (upload->stored) cancel(upload->image);
  upload->image.request->refuse(upload->image.index, refusal_of(outage));
}

Result<void> Uploader::probe_store() {
  static const ObjectKey key("inputs/readiness-probe");
  if (const auto stored = ports_.inputs.put(key, "probe", {}, limits(options_.put_timeout)); !stored) {
    return fail(stored.error());
  }
  if (store_.breaker.succeeded()) release(store_);
  return ports_.inputs.remove({&key, 1}, limits(options_.remove_timeout));
}

}  // namespace imgrec
