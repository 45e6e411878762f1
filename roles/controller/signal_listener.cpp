#include "roles/controller/signal_listener.hpp"

#include <algorithm>
#include <vector>

#include "lib/job/signal.hpp"

namespace imgrec {
namespace {

constexpr Millis kPollMax{20'000};  // the longest that SQS lets a call wait
constexpr Millis kPollMin{
    1'000};  // SQS counts whole seconds: for less than one it would answer at once, again and again
constexpr Millis kAgeMax{120'000};  // an older signal says nothing any more
constexpr Millis kRemoveMax{5'000};

}  // namespace

bool SignalListener::hear(const std::vector<Message>& messages) {
  const MonoTime now = clock_.mono_now();
  const WallTime wall = clock_.wall_now();
  bool news = false;
  for (const Message& message : messages) {
    const auto signal = parse_signal(message.body);
    const Millis age = std::max(Millis(0), Millis(wall - message.sent_at));
    if (!signal || age > kAgeMax) continue;
    news = book_.hear(*signal, now - age, wall - age) || news;
  }
  return news;
}

// Returns whether there was news; sleeps when the queue cannot be read.
bool SignalListener::receive(Millis wait, const std::stop_token& stop) {
  const auto messages = queue_->receive({.messages_max = static_cast<int>(kBatchMax), .wait = wait}, stop);
  if (!messages) {
    if (messages.error().kind != ErrorKind::cancelled) receiving_.failed(messages.error());
    clock_.sleep_for(wait, stop);
    unread_at_ = clock_.mono_now();
    return false;
  }
  receiving_.succeeded();
  if (messages->empty()) return false;
  const bool news = hear(*messages);
  std::vector<Receipt> receipts;
  for (const Message& message : *messages) receipts.push_back(message.receipt);
  // One that stays comes again, and counts once all the same.
  (void)queue_->remove(receipts, {Deadline::in(clock_, kRemoveMax), stop});
  return news;
}

void SignalListener::pause(MonoTime not_before, MonoTime until, const std::stop_token& stop) {
  if (queue_ == nullptr) {
    clock_.sleep_until(until, stop);
    return;
  }
  for (bool first = true; !stop.stop_requested(); first = false) {
    const Millis left = std::chrono::ceil<Millis>(until - clock_.mono_now());
    if (left <= Millis(0)) return;
    if (!first && left < kPollMin) {
      clock_.sleep_until(until, stop);
      return;
    }
    if (receive(std::min(left, kPollMax), stop)) {
      clock_.sleep_until(not_before, stop);
      return;
    }
  }
}

}  // namespace imgrec
