#include "roles/worker/completer.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "lib/base/log.hpp"

namespace imgrec {
namespace {

constexpr std::size_t kWaitingMax = 64;     // answers; more than a batch, so that the next can gather
constexpr Millis kAttemptDeadline{10'000};  // of one attempt to send or remove
constexpr std::size_t kLoggedNameMax = 256;

// The queue is not there, or does not carry this message: another attempt changes nothing. Whatever else a queue
// refuses (a right, a key, a setting) may work again when a person has changed it.
bool is_final(const Error& error) {
  constexpr std::array<std::string_view, 5> kCodes = {"bad_queue_name", "bad_message", "message_too_large",
                                                      "batch_too_large", "bad_batch"};
  return error.kind == ErrorKind::not_found || std::ranges::find(kCodes, error.code) != kCodes.end();
}

}  // namespace

Completer::Completer(const WorkerPorts& ports, LeaseKeeper& leases, WorkerMetrics& metrics, CompleterOptions options)
    : ports_(ports),
      leases_(leases),
      metrics_(metrics),
      options_(std::move(options)),
      queues_("sending and removing messages", ports.clock, ports.rng,
              {.backoff = {Millis(50), Millis(2'000)},
               .hold_max = options_.outage_hold_max,
               .call_max = kAttemptDeadline,
               .is_outage = [](const Error& error) { return error.kind != ErrorKind::cancelled && !is_final(error); }}),
      answers_(ports.clock, {.batch_max = kBatchMax, .waiting_max = kWaitingMax, .linger = options_.linger}),
      removals_(ports.clock, {.batch_max = kBatchMax,
                              .waiting_max = kWaitingMax,
                              .linger = [this](const Answer&, std::size_t) { return options_.linger_removal(); }}),
      removing_([this] { run_removals(); }),
      answering_([this] { run_answers(); }) {}

Completer::~Completer() {
  close();
}

void Completer::push(Answer answer) {
  answers_.push(std::move(answer));
}

void Completer::flush() {
  answers_.flush();
  removals_.flush();
}

void Completer::close() {
  answers_.close();
  if (answering_.joinable()) answering_.join();
  removals_.close();
  if (removing_.joinable()) removing_.join();
}

void Completer::run_answers() {
  for (Batch batch = answers_.take(); !batch.empty(); batch = answers_.take()) {
    const std::size_t count = batch.size();
    Batch answered;
    // When abandoned they are returned to the queue already.
    if (!options_.abandon.stop_requested()) {
      try {
        answered = answer(dead_letter(std::move(batch)));
      } catch (const std::exception& error) {  // no memory: the leases end, and the messages are delivered again
        log::error("answers not finished", {{"messages", count}, {"error", error.what()}});
      }
    }
    options_.on_done(count);
    for (Answer& one : answered) {
      one.answered_at = ports_.clock.mono_now();
      removals_.push(std::move(one));
    }
  }
}

void Completer::run_removals() {
  for (Batch batch = removals_.take(); !batch.empty(); batch = removals_.take()) {
    const std::size_t count = batch.size();
    try {
      remove(std::move(batch));
    } catch (const std::exception& error) {
      log::error("messages not removed", {{"messages", count}, {"error", error.what()}});
    }
  }
}

OutgoingMessage Completer::message(const Answer& answer, std::string body) const {
  OutgoingMessage message{.body = std::move(body), .group_id = {}, .dedup_id = {}};
  if (options_.fifo) {
    const bool known = !answer.job.empty();
    message.group_id = known ? answer.session.str() : "unreadable";
    message.dedup_id = known ? answer.job.str() : answer.held.message.id.str();
  }
  return message;
}

// Returns those that may go on.
Completer::Batch Completer::dead_letter(Batch batch) {
  Batch kept;
  for (Answer& answer : batch) {
    if (answer.dead_letter.empty()) {
      kept.push_back(std::move(answer));
      continue;
    }
    // One by one: rare, and as large as messages may be.
    const OutgoingMessage letter = message(answer, answer.dead_letter);
    const auto sent = queues_.call(options_.abandon, [&](const CallLimits& limits) -> Result<MessageId> {
      auto outcomes = ports_.dead_letters.send({&letter, 1}, limits);
      if (!outcomes) return fail(outcomes.error());
      return outcomes->at(0);
    });
    if (!sent) {
      send_back(answer, sent.error());
      continue;
    }
    kept.push_back(std::move(answer));
  }
  return kept;
}

// Returns those that were answered, or cannot be.
Completer::Batch Completer::answer(Batch batch) {
  std::map<std::string, Batch> by_queue;
  Batch answered;
  for (Answer& answer : batch) {
    if (answer.reply_to.empty() || answer.body.empty()) {
      answered.push_back(std::move(answer));
    } else {
      by_queue[answer.reply_to].push_back(std::move(answer));
    }
  }
  for (auto& [reply_to, group] : by_queue) send_answers(reply_to, group, answered);
  return answered;
}

void Completer::send_answers(const std::string& reply_to, Batch& group, Batch& answered) {
  std::vector<OutgoingMessage> messages;
  std::size_t bytes = 0;
  Batch later;  // what would make the call too large
  Batch now;
  for (Answer& answer : group) {
    bytes += answer.body.size();
    if (!now.empty() && bytes > kMessageBytesMax) {
      later.push_back(std::move(answer));
      continue;
    }
    messages.push_back(message(answer, answer.body));
    now.push_back(std::move(answer));
  }
  const auto send = [&](const CallLimits& limits) -> Result<std::vector<Result<MessageId>>> {
    const auto queue = ports_.replies.open(reply_to, limits);
    if (!queue) return fail(queue.error());
    return (*queue)->send(messages, limits);
  };
  const auto outcomes = queues_.call(options_.abandon, send);
  for (std::size_t i = 0; i < now.size(); ++i) {
    const Result<void> sent = !outcomes         ? Result<void>(fail(outcomes.error()))
                              : !(*outcomes)[i] ? Result<void>(fail((*outcomes)[i].error()))
                                                : Result<void>();
    if (sent) {
      ports_.on_step(JobStep::answered);
    } else if (is_final(sent.error())) {
      log::warning("answer not sent; the result stays in the store",
                   {{"job", now[i].job}, {"reply_to", reply_to}, {"error", describe(sent.error())}});
    } else {
      send_back(now[i], sent.error());
      continue;
    }
    answered.push_back(std::move(now[i]));
  }
  if (!later.empty()) send_answers(reply_to, later, answered);
}

void Completer::remove(Batch batch) {
  std::vector<Receipt> receipts;
  for (const Answer& answer : batch) receipts.push_back(answer.held.message.receipt);
  const auto outcomes = queues_.call(
      options_.abandon, [&](const CallLimits& limits) { return ports_.requests.remove(receipts, limits); });
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const Result<void> removed = outcomes ? (*outcomes)[i] : Result<void>(fail(outcomes.error()));
    if (!removed && removed.error().kind != ErrorKind::not_found) {
      send_back(batch[i], removed.error());
      continue;
    }
    if (!removed) {
      log::debug("message was delivered again meanwhile",
                 {{"job", batch[i].job}, {"error", describe(removed.error())}});
    } else {
      ports_.on_step(JobStep::removed);
    }
    leases_.forget(receipts[i]);
    report(batch[i]);
  }
}

void Completer::send_back(const Answer& answer, const Error& error) {
  log::warning("job not finished; back to the queue",
               {{"job", answer.job}, {"error", describe(error)}, {"traceparent", answer.traceparent}});
  metrics_.count(Outcome::returned);
  leases_.release({&answer.held.message.receipt, 1}, return_delay(answer.held.message.receive_count));
}

void Completer::report(const Answer& answer) {
  metrics_.count(answer.outcome);
  if (answer.outcome == Outcome::labelled) metrics_.observe(answer.timings);
  if (answer.outcome == Outcome::unreadable) return;  // logged where it was found
  log::info("job done", {{"job", answer.job},
                         {"name", std::string_view(answer.name).substr(0, kLoggedNameMax)},
                         {"outcome", to_string(answer.outcome)},
                         {"label", answer.label},
                         {"ms", elapsed_ms(answer.held.received_at, answer.answered_at)},
                         {"queue_ms", answer.timings.queue_ms},
                         {"infer_ms", answer.timings.infer_ms},
                         {"receive_count", answer.held.message.receive_count},
                         {"traceparent", answer.traceparent}});
}

}  // namespace imgrec
