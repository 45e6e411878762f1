#include "roles/web/upload.hpp"

#include <utility>

#include "lib/base/log.hpp"

namespace imgrec {
namespace {

constexpr Millis kLongSleep{3'600'000};

}  // namespace

Uploader::Uploader(Ports ports, const UploadOptions& options)
    : ports_(ports),
      options_(options),
      batcher_(
          ports.requests, ports.clock,
          {.waiting_max = options.pending_jobs_max, .linger = [router = &ports.router] { return router->linger(); }}) {
  retry_thread_ = std::jthread([this](std::stop_token stop) { retry(std::move(stop)); });
}

Uploader::~Uploader() {
  stop();
}

void Uploader::stop() {
  retry_thread_.request_stop();
  if (retry_thread_.joinable()) retry_thread_.join();
  batcher_.stop();
}

void Uploader::start(ImageUpload upload) {
  advance(std::make_shared<Way>(Way{.upload = std::move(upload), .backoff = Backoff(options_.backoff, ports_.rng)}));
}

std::size_t Uploader::delayed() const {
  std::lock_guard lock(mutex_);
  return delayed_.size();
}

void Uploader::advance(std::shared_ptr<Way> way) {
  if (way->upload.request->ended()) return;  // nobody waits for it any more
  if (!way->stored) {
    if (ports_.router.pending_jobs() >= options_.pending_jobs_max) {
      return try_later(std::move(way), {ErrorKind::throttled, "too_many_pending",
                                        "Too many images are waiting for their answer; try again in a moment."});
    }
    if (const auto stored = store(*way); !stored) return try_later(std::move(way), stored.error());
    way->stored = true;
    way->upload.body.reset();
    way->upload.bytes = {};
    ports_.router.expect(way->upload.job.job, way->upload.request, way->upload.index);
  }
  send(std::move(way));
}

Result<void> Uploader::store(Way& way) {
  const auto outcome = ports_.inputs.put(way.upload.job.input.key, way.upload.bytes, {});
  if (!outcome) return fail(outcome.error());
  return {};
}

void Uploader::send(std::shared_ptr<Way> way) {
  OutgoingMessage message;
  message.body = to_json(way->upload.job);
  if (options_.fifo) {
    message.group_id = way->upload.job.session.str();
    message.dedup_id = way->upload.job.job.str();
  }
  batcher_.push(std::move(message), [this, way](Result<MessageId> sent) {
    if (!sent) return try_later(way, sent.error());
    log::debug("image queued", {{"job", way->upload.job.job}, {"bytes", way->upload.job.input.bytes}});
    way->upload.request->queued(way->upload.index);
  });
}

void Uploader::try_later(std::shared_ptr<Way> way, const Error& error) {
  const ImageUpload& upload = way->upload;
  ++way->failures;
  const bool again = is_retryable(error.kind) && (upload.held || way->failures < options_.tries_max);
  log::warning(again ? "an image waits for another attempt" : "an image was not accepted",
               {{"job", upload.job.job}, {"failures", way->failures}, {"error", describe(error)}});
  if (!again) return upload.request->refuse(upload.index, error);
  bool earliest = false;
  {
    std::lock_guard lock(mutex_);
    const auto at = delayed_.emplace(ports_.clock.mono_now() + way->backoff.next(), std::move(way));
    earliest = at == delayed_.begin();
  }
  if (earliest) waker_.wake();
}

void Uploader::retry(std::stop_token stop) {
  while (!stop.stop_requested()) {
    std::shared_ptr<Way> due;
    MonoTime next = ports_.clock.mono_now() + kLongSleep;
    {
      std::lock_guard lock(mutex_);
      if (!delayed_.empty() && delayed_.begin()->first <= ports_.clock.mono_now()) {
        due = std::move(delayed_.begin()->second);
        delayed_.erase(delayed_.begin());
      } else if (!delayed_.empty()) {
        next = delayed_.begin()->first;
      }
    }
    if (due) {
      advance(std::move(due));
    } else {
      waker_.sleep_until(ports_.clock, next, stop);
    }
  }
}

}  // namespace imgrec
