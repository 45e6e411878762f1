#include "lib/local/sqlite_queue.hpp"

#include <algorithm>
#include <map>
#include <mutex>

#include "lib/base/text.hpp"
#include "lib/local/sqlite_store.hpp"
#include "lib/local/wake_board.hpp"
#include "lib/ports/message_checks.hpp"

namespace imgrec {
namespace {

constexpr std::size_t kQueueNameBytesMax = 80;
// Nobody rings for a sender that was killed between its commit and its ring: so a poll also looks by itself, rarely.
constexpr Millis kDelayedLookAgain = Seconds(5);

// What the queues of one file share; it lives as long as the last of them.
struct Shared {
  std::unique_ptr<SqliteStore> store;
  std::unique_ptr<WakeBoard> board;
  Clock& clock;

  // The file's time (see sqlite_store.hpp) in the wall clock's, and the reverse.
  WallTime to_wall(WallTime in_file) const { return clock.wall_now() - (store->now() - in_file); }
  WallTime to_file(WallTime wall) const { return store->now() - (clock.wall_now() - wall); }
  // The caller's limits in real time.
  CallLimits real(const CallLimits& limits) const {
    if (limits.deadline.at == MonoTime::max()) return limits;
    return {Deadline::in(system_clock(), limits.deadline.left(clock)), limits.stop};
  }
};

std::vector<Result<void>> receipt_outcomes(const std::vector<bool>& good) {
  std::vector<Result<void>> outcomes;
  for (const bool is_good : good) {
    if (is_good)
      outcomes.emplace_back();
    else
      outcomes.push_back(
          fail(ErrorKind::not_found, "stale_receipt", "The message was removed, or delivered again since."));
  }
  return outcomes;
}

class SqliteQueue final : public MessageQueue {
 public:
  SqliteQueue(std::shared_ptr<Shared> shared, QueueRow row) : shared_(std::move(shared)), row_(row) {}

  Result<std::vector<Result<MessageId>>> send(std::span<const OutgoingMessage> messages,
                                              const CallLimits& limits) override {
    if (auto batch = check_batch(messages.size()); !batch) return fail(batch.error());
    std::vector<Result<MessageId>> outcomes;
    std::vector<const OutgoingMessage*> accepted;
    std::size_t bytes = 0;
    for (const OutgoingMessage& message : messages) {
      if (auto checked = check_message(message, row_.fifo); !checked) {
        outcomes.push_back(fail(checked.error()));
        continue;
      }
      accepted.push_back(&message);
      outcomes.emplace_back();
      bytes += message.body.size();
    }
    if (auto checked = check_batch_bytes(bytes); !checked) return fail(checked.error());
    if (accepted.empty()) return outcomes;
    if (auto within = limits.check(shared_->clock); !within) return fail(within.error());
    const CallLimits within = shared_->real(limits);
    const auto ids = shared_->store->send(row_, accepted, within);
    if (!ids) return fail(ids.error());
    shared_->board->ring(row_.id);  // receivers may begin while the disk still writes
    if (row_.synced) {
      if (auto synced = shared_->store->sync(within); !synced) return fail(synced.error());
    }
    auto id = ids->begin();
    for (auto& outcome : outcomes) {
      if (outcome) outcome = *id++;
    }
    return outcomes;
  }

  Result<std::vector<Message>> receive(const ReceiveOptions& options, std::stop_token stop) override {
    if (auto checked = check_receive(options); !checked) return fail(checked.error());
    Clock& clock = shared_->clock;
    const MonoTime end = clock.mono_now() + options.wait;
    while (!stop.stop_requested()) {
      const std::uint32_t seen = shared_->board->seen(row_.id);
      const MonoTime mono = clock.mono_now();
      const WallTime now = shared_->store->now();
      auto delivery = shared_->store->receive(row_, options.messages_max, options.visibility, stop);
      if (!delivery && delivery.error().kind == ErrorKind::cancelled) break;
      if (!delivery) return fail(delivery.error());
      for (Message& message : delivery->messages) message.sent_at = shared_->to_wall(message.sent_at);
      if (delivery->dead_lettered) shared_->board->ring(row_.dead_letter);
      if (!delivery->messages.empty() || mono >= end) return std::move(delivery->messages);
      MonoTime until = std::min(end, mono + kDelayedLookAgain);
      if (delivery->next_at) until = std::min(until, mono + (*delivery->next_at - now));
      shared_->board->wait(row_.id, seen, until, clock, stop);
    }
    return std::vector<Message>();
  }

  Result<std::vector<Result<void>>> extend(std::span<const Receipt> receipts, Millis visibility,
                                           const CallLimits& limits) override {
    if (auto within = limits.check(shared_->clock); !within) return fail(within.error());
    if (auto batch = check_batch(receipts.size()); !batch) return fail(batch.error());
    if (auto checked = check_visibility(visibility); !checked) return fail(checked.error());
    const auto good = shared_->store->extend(row_, receipts, visibility, shared_->real(limits));
    if (!good) return fail(good.error());
    // The pollers' next look may come earlier than they thought; only a longer lease needs no ring, and is the rule.
    if (visibility < kDelayedLookAgain) shared_->board->ring(row_.id);
    return receipt_outcomes(*good);
  }

  Result<std::vector<Result<void>>> remove(std::span<const Receipt> receipts, const CallLimits& limits) override {
    if (auto within = limits.check(shared_->clock); !within) return fail(within.error());
    if (auto batch = check_batch(receipts.size()); !batch) return fail(batch.error());
    const auto good = shared_->store->remove(row_, receipts, shared_->real(limits));
    if (!good) return fail(good.error());
    if (row_.fifo) shared_->board->ring(row_.id);  // its group is free now
    return receipt_outcomes(*good);
  }

  Result<QueueDepth> depth(const CallLimits& limits) override {
    if (auto within = limits.check(shared_->clock); !within) return fail(within.error());
    return shared_->store->depth(row_);
  }

 private:
  const std::shared_ptr<Shared> shared_;
  const QueueRow row_;
};

class OpenQueues final : public SqliteQueues {
 public:
  OpenQueues(std::shared_ptr<Shared> shared, SqliteQueueRules rules)
      : shared_(std::move(shared)), rules_(std::move(rules)) {}

  Result<std::shared_ptr<MessageQueue>> open(const std::string& name, const CallLimits& limits) override {
    if (auto within = limits.check(shared_->clock); !within) return fail(within.error());
    constexpr std::string_view kAllowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.";
    if (name.empty() || name.size() > kQueueNameBytesMax || name.find_first_not_of(kAllowed) != std::string::npos) {
      return fail(ErrorKind::invalid, "bad_queue_name", "A queue name has 1 to 80 letters, digits, -, _ and .");
    }
    std::lock_guard lock(mutex_);
    if (const auto found = open_.find(name); found != open_.end()) return found->second;
    const auto options = rules_.options_of(name);
    if (!options) return fail(ErrorKind::not_found, "no_such_queue", "There is no queue " + name + ".");
    QueueRow row{.fifo = options->fifo, .receives_max = options->receives_max, .synced = options->survives_power_cut};
    const auto id = shared_->store->queue_id(name, options->fifo);
    if (!id) return fail(id.error());
    row.id = *id;
    if (options->receives_max > 0) {
      const auto dead = rules_.options_of(options->dead_letter);
      if (!dead) {
        return fail(ErrorKind::not_found, "no_such_queue",
                    "The queue " + name + " has the dead-letter queue " + json_quote(options->dead_letter) +
                        ", which is not there.");
      }
      const auto dead_id = shared_->store->queue_id(options->dead_letter, dead->fifo);
      if (!dead_id) return fail(dead_id.error());
      row.dead_letter = *dead_id;
    }
    return open_.emplace(name, std::make_shared<SqliteQueue>(shared_, row)).first->second;
  }

  Result<std::uint64_t> remove_unread(WallTime before, std::uint64_t count_max) override {
    return shared_->store->remove_unread(shared_->to_file(before), count_max);
  }

  Result<std::uint64_t> release_held_by(pid_t process, const CallLimits& limits) override {
    const auto released = shared_->store->release_held_by(process, shared_->real(limits));
    if (!released) return fail(released.error());
    std::uint64_t count = 0;
    for (const auto& [queue, messages] : *released) {
      shared_->board->ring(queue);
      count += messages;
    }
    return count;
  }

 private:
  const std::shared_ptr<Shared> shared_;
  const SqliteQueueRules rules_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<MessageQueue>> open_;
};

}  // namespace

Result<std::unique_ptr<SqliteQueues>> open_sqlite_queues(const std::filesystem::path& file, SqliteQueueRules rules,
                                                         Clock& clock, Rng& rng) {
  auto store = SqliteStore::open({file, rules.file_bytes_max, rules.sync_file, rules.boot_id}, clock, rng);
  if (!store) return fail(store.error());
  auto board = WakeBoard::open(file.string() + "-wake");
  if (!board) return fail(board.error());
  auto shared = std::make_shared<Shared>(Shared{*std::move(store), *std::move(board), clock});
  return std::make_unique<OpenQueues>(std::move(shared), std::move(rules));
}

}  // namespace imgrec
