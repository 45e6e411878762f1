#include "roles/worker/shutdown.hpp"

#include <utility>

#include "lib/base/backoff.hpp"
#include "lib/base/log.hpp"
#include "lib/job/other_version.hpp"
#include "lib/job/shutdown.hpp"

namespace imgrec {
namespace {

constexpr Millis kShutdownDeadline{5'000};                      // nothing of this may keep a worker from its work
constexpr Millis kLookForQueueAgain = std::chrono::minutes(5);  // a deployment may have none
constexpr Millis kWaitForEndMax = std::chrono::minutes(10);
constexpr Millis kLease{30'000};  // of a request between its receipt and its removal

}  // namespace

Shutdown::Shutdown(QueueDirectory& queues, Clock& clock, Rng& rng, ShutdownOptions options)
    : queues_(queues),
      clock_(clock),
      rng_(rng),
      options_(std::move(options)),
      outage_("stopping on request", clock),
      look_at_(clock.mono_now() + options_.check) {}

bool Shutdown::take(const std::stop_token& stop) {
  const MonoTime now = clock_.mono_now();
  if (options_.check <= Millis(0) || now < look_at_) return false;
  look_at_ = now + options_.check;
  const CallLimits limits(Deadline::in(clock_, kShutdownDeadline), stop);
  if (!requests_) {
    auto queue = queues_.open(options_.requests, limits);
    if (!queue) {
      look_at_ = now + kLookForQueueAgain;
      log::debug("no requests to stop are looked for", {{"reason", describe(queue.error())}});
      return false;
    }
    requests_ = *std::move(queue);
  }
  const auto messages = requests_->receive({.messages_max = 1, .visibility = kLease}, stop);
  if (!messages) {
    if (messages.error().kind != ErrorKind::cancelled) outage_.failed(messages.error());
    return false;
  }
  outage_.succeeded();
  if (messages->empty()) return false;
  const auto request = parse_shutdown_request(messages->front().body);
  if (!request && is_other_version(request.error())) {
    log::debug("a request to stop goes back to the queue", {{"reason", describe(request.error())}});
    (void)requests_->extend({{messages->front().receipt}}, Millis(0), limits);
    return false;
  }
  if (!request) {
    log::warning("a message that is no request to stop is dropped", {{"error", describe(request.error())}});
    (void)requests_->remove({{messages->front().receipt}}, limits);
    return false;
  }
  // Removed before anything else, so that no other worker stops for it too. If this one dies before it confirms, the
  // controller's time for the request passes, and it ends an instance itself.
  const auto removed = requests_->remove({{messages->front().receipt}}, limits);
  if (!removed || !removed->front()) {
    if (!removed && removed.error().kind != ErrorKind::cancelled) outage_.failed(removed.error());
    return false;
  }
  request_ = request->id;
  log::info("asked to stop: nothing more is received");
  return true;
}

Result<void> Shutdown::send_confirmation(const CallLimits& limits) {
  const auto queue = queues_.open(options_.confirmations, limits);
  if (!queue) return fail(queue.error());
  const ShutdownConfirmation confirmation{.request = request_,
                                          .instance = options_.instance,
                                          .app_tier_id = options_.app_tier_id,
                                          .confirmed_at = clock_.wall_now()};
  const OutgoingMessage message{.body = to_json(confirmation),
                                .group_id = options_.instance.str(),
                                .dedup_id = request_ + "-" + options_.instance.str(),
                                .delay = Millis(0)};
  const auto sent = (*queue)->send({&message, 1}, limits);
  if (!sent) return fail(sent.error());
  if (!sent->front()) return fail(sent->front().error());
  return {};
}

bool Shutdown::confirm(const std::stop_token& stop) {
  const auto sent = send_confirmation(CallLimits(Deadline::in(clock_, kShutdownDeadline), stop));
  if (sent) {
    outage_.succeeded();
  } else if (sent.error().kind != ErrorKind::cancelled) {
    outage_.failed(sent.error());
  }
  return sent.has_value();
}

void Shutdown::confirm_and_wait(const std::stop_token& stop) {
  Backoff backoff({Millis(100), Millis(5'000)}, rng_);
  while (!confirm(stop)) {
    if (!clock_.sleep_for(backoff.next(), stop)) return;
  }
  log::info("stopped, as asked; waiting for the end");
  if (!clock_.sleep_for(kWaitForEndMax, stop)) return;
  log::warning("nobody ended this worker after it stopped: it ends by itself", {{"after_ms", kWaitForEndMax.count()}});
}

}  // namespace imgrec
