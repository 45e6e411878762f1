#include "roles/web/send_batcher.hpp"

#include <memory>
#include <utility>
#include <vector>

namespace imgrec {

SendBatcher::SendBatcher(MessageQueue& queue, Clock& clock, const Options& options)
    : queue_(queue), clock_(clock), options_(options), items_(options.waiting_max), thread_([this] { run(); }) {}

SendBatcher::~SendBatcher() {
  stop();
}

void SendBatcher::push(OutgoingMessage message, Sent sent) {
  // push() drops what it does not take, so the callback stays reachable from here.
  auto shared = std::make_shared<Sent>(std::move(sent));
  Item item{std::move(message), [shared](Result<MessageId> outcome) { (*shared)(std::move(outcome)); }};
  if (!items_.push(std::move(item))) (*shared)(fail(ErrorKind::cancelled, "stopping", "The server is stopping."));
}

void SendBatcher::stop() {
  items_.close();
  if (thread_.joinable()) thread_.join();
}

void SendBatcher::run() {
  while (auto first = items_.pop()) {
    std::vector<Item> batch;
    std::size_t bytes = first->message.body.size();
    batch.push_back(*std::move(first));
    // A batch has the size limit of a message; names are bounded by the header limit, so ten requests are far below it.
    while (batch.size() < kBatchMax && bytes < kMessageBytesMax / 2) {
      auto next = items_.try_pop();
      if (!next) break;
      bytes += next->message.body.size();
      batch.push_back(*std::move(next));
    }
    send(std::move(batch));
  }
}

void SendBatcher::send(std::vector<Item> batch) {
  std::vector<OutgoingMessage> messages;
  messages.reserve(batch.size());
  for (Item& item : batch) messages.push_back(std::move(item.message));
  auto outcomes = queue_.send(messages, Deadline::in(clock_, options_.send_timeout));
  for (std::size_t i = 0; i < batch.size(); ++i) {
    if (!outcomes) {
      batch[i].sent(std::unexpected(outcomes.error()));
    } else if (i < outcomes->size()) {
      batch[i].sent(std::move((*outcomes)[i]));
    } else {
      batch[i].sent(fail(ErrorKind::bug, "no_send_outcome", "The queue did not say what became of a message."));
    }
  }
}

}  // namespace imgrec
