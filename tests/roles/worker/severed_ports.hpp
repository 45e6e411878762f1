// Ports of a process that may be killed: once it is dead, nothing it does reaches the outside any more. That is what a
// kill -9 is to everybody else, and it can be done at an exact step.
#pragma once

#include <atomic>
#include <memory>
#include <utility>

#include "lib/ports/message_queue.hpp"
#include "lib/ports/object_store.hpp"

namespace imgrec::test {

using Dead = std::shared_ptr<std::atomic<bool>>;

inline std::unexpected<Error> killed() {
  return fail(ErrorKind::cancelled, "killed", "This process was killed.");
}

class CutQueue final : public MessageQueue {
 public:
  CutQueue(std::shared_ptr<MessageQueue> queue, Dead dead) : queue_(std::move(queue)), dead_(std::move(dead)) {}

  Result<std::vector<Result<MessageId>>> send(std::span<const OutgoingMessage> messages,
                                              const CallLimits& limits) override {
    if (*dead_) return killed();
    return queue_->send(messages, limits);
  }
  Result<std::vector<Message>> receive(const ReceiveOptions& options, std::stop_token stop) override {
    if (*dead_) return killed();
    return queue_->receive(options, std::move(stop));
  }
  Result<std::vector<Result<void>>> extend(std::span<const Receipt> receipts, Millis visibility,
                                           const CallLimits& limits) override {
    if (*dead_) return killed();
    return queue_->extend(receipts, visibility, limits);
  }
  Result<std::vector<Result<void>>> remove(std::span<const Receipt> receipts, const CallLimits& limits) override {
    if (*dead_) return killed();
    return queue_->remove(receipts, limits);
  }
  Result<QueueDepth> depth(const CallLimits& limits) override {
    if (*dead_) return killed();
    return queue_->depth(limits);
  }

 private:
  std::shared_ptr<MessageQueue> queue_;
  Dead dead_;
};

class CutQueues final : public QueueDirectory {
 public:
  CutQueues(QueueDirectory& queues, Dead dead) : queues_(queues), dead_(std::move(dead)) {}
  Result<std::shared_ptr<MessageQueue>> open(const std::string& name, const CallLimits& limits) override {
    if (*dead_) return killed();
    auto queue = queues_.open(name, limits);
    if (!queue) return queue;
    return std::make_shared<CutQueue>(*queue, dead_);
  }

 private:
  QueueDirectory& queues_;
  Dead dead_;
};

class CutStore final : public ObjectStore {
 public:
  CutStore(ObjectStore& store, Dead dead) : store_(store), dead_(std::move(dead)) {}
  Result<PutOutcome> put(const ObjectKey& key, ByteView bytes, const PutOptions& options,
                         const CallLimits& limits) override {
    if (*dead_) return killed();
    return store_.put(key, bytes, options, limits);
  }
  Result<StoredObject> get(const ObjectKey& key, std::uint64_t bytes_max, const CallLimits& limits) override {
    if (*dead_) return killed();
    return store_.get(key, bytes_max, limits);
  }
  Result<ObjectInfo> head(const ObjectKey& key, const CallLimits& limits) override {
    if (*dead_) return killed();
    return store_.head(key, limits);
  }
  Result<ListPage> list(std::string_view prefix, std::string_view after, int objects_max,
                        const CallLimits& limits) override {
    if (*dead_) return killed();
    return store_.list(prefix, after, objects_max, limits);
  }
  Result<void> remove(std::span<const ObjectKey> keys, const CallLimits& limits) override {
    if (*dead_) return killed();
    return store_.remove(keys, limits);
  }

 private:
  ObjectStore& store_;
  Dead dead_;
};

}  // namespace imgrec::test
