#include "tests/support/memory_queue.hpp"

#include <algorithm>
#include <set>

#include "lib/base/text.hpp"

namespace imgrec::test {
namespace {

constexpr Millis kDedupWindow = std::chrono::minutes(5);
constexpr Millis kDelayMax = std::chrono::minutes(15);
constexpr Millis kWaitMax = Seconds(20);
constexpr Millis kVisibilityMax = std::chrono::hours(12);

Result<void> check_batch(std::size_t count) {
  if (count >= 1 && count <= kBatchMax) return {};
  return fail(ErrorKind::invalid, "bad_batch", "A batch has 1 to 10 elements.");
}

std::unexpected<Error> stale_receipt() {
  return fail(ErrorKind::not_found, "stale_receipt", "The message was removed or delivered again since.");
}

}  // namespace

Result<std::vector<Result<MessageId>>> MemoryQueue::send(std::span<const OutgoingMessage> messages,
                                                         const CallLimits& limits) {
  if (auto error = faults.enter(QueueCall::send, clock_, limits)) return fail(*std::move(error));
  if (auto within = limits.check(clock_); !within) return fail(within.error());
  if (auto batch = check_batch(messages.size()); !batch) return fail(batch.error());
  std::size_t bytes = 0;
  for (const OutgoingMessage& message : messages) bytes += message.body.size();
  if (messages.size() > 1 && bytes > kMessageBytesMax) {
    return fail(ErrorKind::invalid, "batch_too_large", "The messages of one call have more than 1 MiB together.");
  }
  std::vector<Result<MessageId>> outcomes;
  {
    std::lock_guard lock(mutex_);
    for (const OutgoingMessage& message : messages) {
      if (auto error = faults.element(QueueCall::send)) {
        outcomes.push_back(fail(*std::move(error)));
      } else {
        outcomes.push_back(accept(message));
      }
    }
  }
  wake_pollers();
  if (auto error = faults.leave(QueueCall::send)) return fail(*std::move(error));
  return outcomes;
}

Result<MessageId> MemoryQueue::accept(const OutgoingMessage& message) {
  const auto bad = [](const char* what) { return fail(ErrorKind::invalid, "bad_message", what); };
  if (message.body.size() > kMessageBytesMax) {
    return fail(ErrorKind::invalid, "message_too_large", "A message has at most 1 MiB.");
  }
  if (message.body.empty()) return bad("A message is not empty.");
  if (!is_valid_utf8(message.body)) return bad("A message is valid UTF-8.");
  if (options_.fifo && (message.group_id.empty() || message.dedup_id.empty())) {
    return bad("A FIFO queue needs a group id and a dedup id.");
  }
  if (!options_.fifo && !(message.group_id.empty() && message.dedup_id.empty())) {
    return bad("Only a FIFO queue takes a group id and a dedup id.");
  }
  if (message.delay < Millis(0) || message.delay > kDelayMax) return bad("A delay is 0 to 15 minutes.");
  if (options_.fifo && message.delay != Millis(0)) return bad("A FIFO queue takes no delay.");
  const MonoTime now = clock_.mono_now();
  const MessageId id("message-" + std::to_string(++last_number_));
  if (options_.fifo) {
    std::erase_if(seen_, [&](const auto& seen) { return seen.second.at + kDedupWindow <= now; });
    const auto [seen, is_new] = seen_.try_emplace(message.dedup_id, Accepted{now, id});
    if (!is_new) return seen->second.id;
  }
  Entry entry;
  entry.id = id;
  entry.message = message;
  entry.sent_at = clock_.wall_now();
  entry.accepted_at = now;
  entry.visible_at = now + message.delay;
  entries_.push_back(std::move(entry));
  return id;
}

Result<std::vector<Message>> MemoryQueue::receive(const ReceiveOptions& options, std::stop_token stop) {
  if (auto error = faults.enter(QueueCall::receive, clock_, stop)) return fail(*std::move(error));
  if (options.messages_max < 1 || options.messages_max > static_cast<int>(kBatchMax) || options.wait < Millis(0) ||
      options.wait > kWaitMax || options.visibility < Millis(0) || options.visibility > kVisibilityMax) {
    return fail(ErrorKind::invalid, "bad_receive",
                "1 to 10 messages, at most 20 s of wait, at most 12 h of visibility.");
  }
  const MonoTime end = clock_.mono_now() + options.wait;
  while (true) {
    std::stop_source wake;
    std::list<std::stop_source>::iterator place;
    MonoTime until = end;
    {
      std::lock_guard lock(mutex_);
      if (stop.stop_requested()) return std::vector<Message>();
      std::vector<Message> messages = take_visible(options);
      if (!messages.empty() || clock_.mono_now() >= end) {
        if (auto error = faults.leave(QueueCall::receive)) return fail(*std::move(error));
        return messages;
      }
      if (const auto next = next_visible_at()) until = std::min(end, *next);
      place = pollers_.insert(pollers_.end(), wake);  // under the lock: whatever comes from now on wakes this poller
    }
    {
      const std::stop_callback stopped(stop, [&] { wake.request_stop(); });
      clock_.sleep_until(until, wake.get_token());
    }
    std::lock_guard lock(mutex_);
    pollers_.erase(place);
  }
}

std::vector<Message> MemoryQueue::take_visible(const ReceiveOptions& options) {
  const MonoTime now = clock_.mono_now();
  std::vector<Message> messages;
  std::set<std::string> blocked;  // groups with a message in flight
  for (auto entry = entries_.begin();
       entry != entries_.end() && messages.size() < static_cast<std::size_t>(options.messages_max);) {
    if (options_.fifo && blocked.contains(entry->message.group_id)) {
      ++entry;
      continue;
    }
    if (entry->visible_at > now) {
      if (options_.fifo) blocked.insert(entry->message.group_id);
      ++entry;
      continue;
    }
    if (options_.receives_max > 0 && entry->receive_count >= options_.receives_max) {
      options_.dead_letter->adopt(std::move(*entry));
      entry = entries_.erase(entry);
      continue;
    }
    entry->receipt = Receipt("receipt-" + std::to_string(++last_number_));
    entry->visible_at = now + options.visibility;
    ++entry->receive_count;
    messages.push_back({.id = entry->id,
                        .receipt = entry->receipt,
                        .body = entry->message.body,
                        .group_id = entry->message.group_id,
                        .receive_count = options_.tells_receive_counts ? entry->receive_count : 0,
                        .sent_at = entry->sent_at});
    ++entry;
  }
  return messages;
}

std::optional<MonoTime> MemoryQueue::next_visible_at() const {
  // What is visible already and yet was not taken waits for its group, so for a message that is hidden.
  std::optional<MonoTime> next;
  const MonoTime now = clock_.mono_now();
  for (const Entry& entry : entries_) {
    if (entry.visible_at > now && (!next || entry.visible_at < *next)) next = entry.visible_at;
  }
  return next;
}

std::list<MemoryQueue::Entry>::iterator MemoryQueue::find(const Receipt& receipt) {
  return std::ranges::find_if(entries_,
                              [&](const Entry& entry) { return entry.receive_count > 0 && entry.receipt == receipt; });
}

Result<std::vector<Result<void>>> MemoryQueue::extend(std::span<const Receipt> receipts, Millis visibility,
                                                      const CallLimits& limits) {
  if (auto error = faults.enter(QueueCall::extend, clock_, limits)) return fail(*std::move(error));
  if (auto within = limits.check(clock_); !within) return fail(within.error());
  if (auto batch = check_batch(receipts.size()); !batch) return fail(batch.error());
  if (visibility < Millis(0) || visibility > kVisibilityMax) {
    return fail(ErrorKind::invalid, "bad_visibility", "A visibility timeout is 0 to 12 hours.");
  }
  std::vector<Result<void>> outcomes;
  {
    std::lock_guard lock(mutex_);
    for (const Receipt& receipt : receipts) {
      const auto entry = find(receipt);
      if (auto error = faults.element(QueueCall::extend)) {
        outcomes.push_back(fail(*std::move(error)));
      } else if (entry == entries_.end()) {
        outcomes.push_back(stale_receipt());
      } else {
        entry->visible_at = clock_.mono_now() + visibility;
        outcomes.push_back({});
      }
    }
  }
  wake_pollers();
  if (auto error = faults.leave(QueueCall::extend)) return fail(*std::move(error));
  return outcomes;
}

Result<std::vector<Result<void>>> MemoryQueue::remove(std::span<const Receipt> receipts, const CallLimits& limits) {
  if (auto error = faults.enter(QueueCall::remove, clock_, limits)) return fail(*std::move(error));
  if (auto within = limits.check(clock_); !within) return fail(within.error());
  if (auto batch = check_batch(receipts.size()); !batch) return fail(batch.error());
  std::vector<Result<void>> outcomes;
  {
    std::lock_guard lock(mutex_);
    for (const Receipt& receipt : receipts) {
      const auto entry = find(receipt);
      if (auto error = faults.element(QueueCall::remove)) {
        outcomes.push_back(fail(*std::move(error)));
      } else if (entry == entries_.end()) {
        outcomes.push_back(stale_receipt());
      } else {
        entries_.erase(entry);
        outcomes.push_back({});
      }
    }
  }
  wake_pollers();  // the next of a FIFO group can be received now
  if (auto error = faults.leave(QueueCall::remove)) return fail(*std::move(error));
  return outcomes;
}

Result<QueueDepth> MemoryQueue::depth(const CallLimits& limits) {
  if (auto error = faults.enter(QueueCall::depth, clock_, limits)) return fail(*std::move(error));
  if (auto within = limits.check(clock_); !within) return fail(within.error());
  std::lock_guard lock(mutex_);
  const MonoTime now = clock_.mono_now();
  QueueDepth depth;
  for (const Entry& entry : entries_) {
    if (entry.visible_at <= now) {
      ++depth.visible;
    } else if (entry.receive_count > 0) {
      ++depth.in_flight;
    } else {
      ++depth.delayed;
    }
    const Millis age = std::chrono::floor<Millis>(now - entry.accepted_at);
    depth.oldest_age = std::max(depth.oldest_age.value_or(age), age);
  }
  return depth;
}

void MemoryQueue::push(std::string body) {
  {
    std::lock_guard lock(mutex_);
    Entry entry;
    entry.id = MessageId("message-" + std::to_string(++last_number_));
    entry.message.body = std::move(body);
    entry.sent_at = clock_.wall_now();
    entry.accepted_at = entry.visible_at = clock_.mono_now();
    entries_.push_back(std::move(entry));
  }
  wake_pollers();
}

std::vector<std::string> MemoryQueue::bodies() const {
  std::lock_guard lock(mutex_);
  std::vector<std::string> bodies;
  for (const Entry& entry : entries_) bodies.push_back(entry.message.body);
  return bodies;
}

void MemoryQueue::expire_leases() {
  {
    std::lock_guard lock(mutex_);
    for (Entry& entry : entries_) entry.visible_at = std::min(entry.visible_at, clock_.mono_now());
  }
  wake_pollers();
}

void MemoryQueue::adopt(Entry entry) {
  entry.receipt = Receipt();
  entry.receive_count = 0;
  entry.visible_at = clock_.mono_now();
  {
    std::lock_guard lock(mutex_);
    entries_.push_back(std::move(entry));
  }
  wake_pollers();
}

void MemoryQueue::wake_pollers() {
  std::list<std::stop_source> pollers;
  {
    std::lock_guard lock(mutex_);
    pollers = pollers_;
  }
  // Outside the lock: request_stop runs the sleeper's callback in this thread.
  for (std::stop_source& poller : pollers) poller.request_stop();
}

Result<std::shared_ptr<MessageQueue>> MemoryQueues::open(const std::string& name, const CallLimits& limits) {
  if (auto error = faults.enter(Call::open, clock_, limits)) return fail(*std::move(error));
  if (auto within = limits.check(clock_); !within) return fail(within.error());
  constexpr std::string_view kAllowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.";
  if (name.empty() || name.size() > 80 || name.find_first_not_of(kAllowed) != std::string::npos) {
    return fail(ErrorKind::invalid, "bad_queue_name", "A queue name has 1 to 80 letters, digits, -, _ and .");
  }
  std::lock_guard lock(mutex_);
  auto found = queues_.find(name);
  if (found == queues_.end()) {
    if (!options_.make_on_demand) return fail(ErrorKind::not_found, "no_such_queue", "There is no queue " + name + ".");
    found = queues_.emplace(name, std::make_shared<MemoryQueue>(clock_, options_.queue)).first;
  }
  return found->second;
}

std::shared_ptr<MemoryQueue> MemoryQueues::create(const std::string& name, MemoryQueueOptions options) {
  auto queue = std::make_shared<MemoryQueue>(clock_, std::move(options));
  std::lock_guard lock(mutex_);
  queues_[name] = queue;
  return queue;
}

std::shared_ptr<MemoryQueue> MemoryQueues::queue(const std::string& name) {
  std::lock_guard lock(mutex_);
  auto& queue = queues_[name];
  if (!queue) queue = std::make_shared<MemoryQueue>(clock_, options_.queue);
  return queue;
}

}  // namespace imgrec::test
