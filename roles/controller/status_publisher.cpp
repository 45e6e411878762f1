#include "roles/controller/status_publisher.hpp"

#include <utility>

namespace imgrec {
namespace {

constexpr Millis kLongSleep{3'600'000};

// What changes with time alone is no news.
std::string news_of(ServiceStatus status) {
  status.at = {};
  status.samples.clear();
  status.cost.machine_seconds = 0;
  if (status.queue) status.queue->oldest_age.reset();
  status.arrivals_per_s.reset();
  return to_json(status);
}

}  // namespace

StatusPublisher::StatusPublisher(ObjectStore& store, Clock& clock, const Options& options)
    : store_(store),
      clock_(clock),
      options_(options),
      putting_("publishing the service's status", clock),
      thread_([this] { run(); }) {}

StatusPublisher::~StatusPublisher() {
  {
    std::lock_guard lock(mutex_);
    closing_ = true;
    waker_.wake();
  }
  thread_.join();
}

void StatusPublisher::offer(ServiceStatus status) {
  status.at_least = options_.at_least;
  std::string text = news_of(status);
  std::lock_guard lock(mutex_);
  offered_ = std::move(status);
  offered_text_ = std::move(text);
  waker_.wake();
}

// With mutex_ held. Nothing: not before something is offered.
std::optional<MonoTime> StatusPublisher::due() const {
  if (!offered_) return std::nullopt;
  if (!put_at_) return MonoTime::min();
  return *put_at_ + (offered_text_ == put_text_ ? options_.at_least : options_.interval);
}

void StatusPublisher::take_over_cost() {
  if (std::exchange(took_over_, true)) return;
  const auto stored =
      store_.get(service_status_key(), kServiceStatusBytesMax, {Deadline::in(clock_, options_.call_timeout)});
  if (!stored) return;
  if (const auto before = parse_service_status(stored->bytes)) earlier_ = before->cost;
}

void StatusPublisher::put(ServiceStatus status, Millis timeout) {
  take_over_cost();
  if (earlier_) {
    status.cost.since = earlier_->since;
    status.cost.machine_seconds += earlier_->machine_seconds;
    status.cost.dollars += earlier_->dollars;
    for (ServiceSample& sample : status.samples) sample.values.back() += earlier_->machine_seconds;
  }
  const auto stored = store_.put(service_status_key(), to_json(status), {.content_type = "application/json"},
                                 {Deadline::in(clock_, timeout)});
  if (stored) return putting_.succeeded();
  putting_.failed(stored.error());
}

void StatusPublisher::run() {
  std::optional<ServiceStatus> last;
  std::unique_lock lock(mutex_);
  while (!closing_) {
    const MonoTime now = clock_.mono_now();
    const auto next = due();
    if (next && *next <= now) {
      last = std::exchange(offered_, std::nullopt);
      put_text_ = offered_text_;
      put_at_ = now;
      lock.unlock();
      put(*last, options_.call_timeout);
      lock.lock();
      continue;
    }
    lock.unlock();
    waker_.sleep_until(clock_, next.value_or(now + kLongSleep), {});
    lock.lock();
  }
  if (offered_) last = std::move(offered_);
  lock.unlock();
  if (!last) return;
  last->ended = true;
  put(*std::move(last), options_.last_timeout);
}

}  // namespace imgrec
