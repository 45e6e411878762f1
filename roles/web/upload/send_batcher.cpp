#include "roles/web/upload/send_batcher.hpp"

#include <utility>

namespace imgrec {

SendBatcher::SendBatcher(MessageQueue& queue, Clock& clock, const Options& options)
    : queue_(queue),
      clock_(clock),
      send_timeout_(options.send_timeout),
      abort_(options.abort),
      items_(clock, {.batch_max = kBatchMax,
                     .waiting_max = options.waiting_max,
                     .linger = [linger = options.linger](const Item&, std::size_t) { return linger(); }}),
      thread_([this] { run(); }) {}

SendBatcher::~SendBatcher() {
  stop();
}

void SendBatcher::push(OutgoingMessage message, Sent sent) {
  if (auto refused = items_.push({std::move(message), std::move(sent)})) {
    refused->sent(fail(ErrorKind::cancelled, "stopping", "The server is stopping."));
  }
}

void SendBatcher::stop() {
  items_.close();
  if (thread_.joinable()) thread_.join();
}

void SendBatcher::run() {
  for (auto batch = items_.take(); !batch.empty(); batch = items_.take()) {
    // A batch has the size limit of a message; names are bounded by the header limit, so ten requests are far below it,
    // and this loop goes round once.
    for (std::span<Item> rest = batch; !rest.empty();) {
      std::size_t count = 1, bytes = rest[0].message.body.size();
      while (count < rest.size() && bytes < kMessageBytesMax / 2) bytes += rest[count++].message.body.size();
      send(rest.first(count));
      rest = rest.subspan(count);
    }
  }
}

void SendBatcher::send(std::span<Item> batch) {
  std::vector<OutgoingMessage> messages;
  messages.reserve(batch.size());
  for (Item& item : batch) messages.push_back(std::move(item.message));
  auto outcomes = queue_.send(messages, {Deadline::in(clock_, send_timeout_), abort_});
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
