#include "lib/signals/signal_sender.hpp"

#include <algorithm>
#include <utility>

namespace imgrec {
namespace {

constexpr Millis kSoon{5'000};  // after ready, and once idle for so long, a worker reports sooner
constexpr Millis kLongSleep{3'600'000};

Millis whole(MonoTime::duration span) {
  return std::chrono::duration_cast<Millis>(span);
}

}  // namespace

SignalSender::SignalSender(MessageQueue& queue, Clock& clock, Rng& rng, Options options)
    : queue_(queue),
      clock_(clock),
      options_(std::move(options)),
      life_(random_hex(rng, 8)),
      sending_("sending signals to the controller", clock),
      thread_([this] { run(); }) {}

SignalSender::~SignalSender() {
  {
    std::lock_guard lock(mutex_);
    closing_ = true;
    waker_.wake();
  }
  thread_.join();
}

void SignalSender::note(SignalKind kind) {
  std::lock_guard lock(mutex_);
  noted_.push_back(kind);
  waker_.wake();
}

void SignalSender::enqueued(std::uint64_t images) {
  if (images == 0) return;
  std::lock_guard lock(mutex_);
  if (!enqueued_since_) enqueued_since_ = clock_.mono_now();
  enqueued_ += images;
  if (enqueued_ == images) waker_.wake();
}

void SignalSender::ready() {
  const MonoTime now = clock_.mono_now();
  std::vector<Signal> signals;
  {
    std::lock_guard lock(mutex_);
    work_ = Work{.since = now, .changed = now, .idle_since = now};
    signals.push_back(make(SignalKind::ready));
  }
  send(signals);
  waker_.wake();
}

void SignalSender::holds(int held, int finished) {
  std::lock_guard lock(mutex_);
  if (!work_) return;
  const MonoTime now = clock_.mono_now();
  Work& work = *work_;
  if (work.held > 0) work.busy += whole(now - work.changed);
  work.changed = now;
  work.images += static_cast<std::uint64_t>(finished);
  if (held == 0 && work.held > 0) work.idle_since = now;
  const bool turned = (held > 0) != (work.held > 0);
  work.held = held;
  if (turned) waker_.wake();
}

void SignalSender::draining() {
  note(SignalKind::draining);
}

void SignalSender::ended() {
  {
    std::lock_guard lock(mutex_);
    work_.reset();
  }
  note(SignalKind::ended);
}

// When something is to be sent; nothing: not before something happens. With mutex_ held.
std::optional<MonoTime> SignalSender::due() const {
  if (closing_ || !noted_.empty()) return MonoTime::min();
  std::optional<MonoTime> due;
  const auto at = [&](MonoTime time) { due = std::min(due.value_or(time), time); };
  if (enqueued_ > 0) at(enqueued_told_ ? *enqueued_told_ + options_.gather : MonoTime::min());
  if (work_) {
    at(work_->since + (work_->reported ? options_.report_every : std::min(kSoon, options_.report_every)));
    const bool idle = work_->held == 0;
    if (idle && !work_->said_idle) at(std::max(work_->since, work_->idle_since) + kSoon);
    if (!idle && work_->said_idle) at(work_->since + kSoon);
  }
  return due;
}

// With mutex_ held.
Signal SignalSender::make(SignalKind kind) {
  return {.kind = kind, .sender = options_.sender, .life = life_, .sequence = ++sequence_};
}

Signal SignalSender::make_report(MonoTime now) {
  Work& work = *work_;
  if (work.held > 0) work.busy += whole(now - work.changed);
  work.changed = now;
  Signal report = make(SignalKind::worked);
  report.images = std::exchange(work.images, 0);
  report.span = whole(now - work.since);
  const Millis busy = std::exchange(work.busy, Millis(0));
  if (report.span > Millis(0)) {
    report.busy_share = std::min(1.0, static_cast<double>(busy.count()) / static_cast<double>(report.span.count()));
  }
  // Idle for a moment between two messages is not idle.
  if (work.held == 0 && now - work.idle_since >= kSoon) report.idle = whole(now - work.idle_since);
  work.said_idle = report.idle > Millis(0);
  work.reported = true;
  work.since = now;
  return report;
}

std::vector<Signal> SignalSender::take(MonoTime now) {
  std::vector<Signal> signals;
  for (const SignalKind kind : std::exchange(noted_, {})) signals.push_back(make(kind));
  if (enqueued_ > 0) {
    Signal arrived = make(SignalKind::enqueued);
    arrived.images = std::exchange(enqueued_, 0);
    arrived.span = whole(now - *enqueued_since_);
    enqueued_since_.reset();
    enqueued_told_ = now;
    signals.push_back(arrived);
  }
  const bool only_noted = !signals.empty() && !closing_;
  if (work_ && (!only_noted || work_->images > 0)) signals.push_back(make_report(now));
  return signals;
}

void SignalSender::send(const std::vector<Signal>& signals) {
  for (std::size_t begin = 0; begin < signals.size(); begin += kBatchMax) {
    std::vector<OutgoingMessage> messages;
    for (std::size_t i = begin; i < std::min(signals.size(), begin + kBatchMax); ++i) {
      messages.push_back({.body = to_json(signals[i]), .group_id = "", .dedup_id = "", .delay = Millis(0)});
    }
    const auto sent = queue_.send(messages, {Deadline::in(clock_, options_.send_timeout)});
    if (!sent) return sending_.failed(sent.error());
    const auto refused = std::ranges::find_if(*sent, [](const auto& outcome) { return !outcome; });
    if (refused != sent->end()) return sending_.failed(refused->error());
    sending_.succeeded();
  }
}

void SignalSender::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    const MonoTime now = clock_.mono_now();
    const auto next = due();
    if (next && *next <= now) {
      const bool last = closing_;
      const std::vector<Signal> signals = take(now);
      lock.unlock();
      send(signals);
      if (last) return;
      lock.lock();
      continue;
    }
    lock.unlock();
    waker_.sleep_until(clock_, next.value_or(now + kLongSleep), {});
    lock.lock();
  }
}

}  // namespace imgrec
