#include "lib/queues/queues.hpp"

#include <algorithm>

namespace imgrec {
namespace {

constexpr Seconds kDeadLetterRetention = std::chrono::days(14);  // the longest that SQS keeps a message
constexpr Seconds kShutdownRetention = std::chrono::hours(1);    // long after drain_timeout they say nothing any more
constexpr Seconds kSignalRetention{120};  // older ones say nothing any more; SQS keeps a message for a minute at least
constexpr Seconds kResponseRetentionMin = std::chrono::hours(1);

}  // namespace

std::vector<QueueRow> queue_roster(const Config& config) {
  const QueueConfig& queue = config.queue;
  std::vector<QueueRow> roster = {
      {.kind = QueueKind::dead_letters,
       .name = queue.dead_letter,
       .fifo = queue.fifo,  // a FIFO queue's dead letters are in a FIFO queue, as SQS wants it
       .retention = kDeadLetterRetention,
       .uses = {.web = kReceivesFrom | kWatches,
                .worker = kSendsTo,
                .controller = kWatches,
                .deployer = kMakes | kWatches}},
      {.kind = QueueKind::requests,
       .name = queue.request,
       .fifo = queue.fifo,
       .dead_letter = queue.dead_letter,
       .receives_max = queue.receives_max,
       .visibility = queue.visibility,
       .uses = {.web = kSendsTo | kWatches,
                .worker = kReceivesFrom,
                .controller = kWatches,
                .deployer = kMakes | kWatches}},
      // FIFO, so that a request is neither delivered twice nor missed by a short poll of few servers. An idle worker
      // and the controller find each other again after a power cut without them.
      {.kind = QueueKind::shutdown_requests,
       .name = queue.shutdown_request,
       .fifo = true,
       .retention = kShutdownRetention,
       .survives_power_cut = false,
       .uses = {.worker = kReceivesFrom,
                .controller = kSendsTo | kReceivesFrom | kWatches,
                .deployer = kMakes | kWatches}},
      {.kind = QueueKind::shutdown_confirmations,
       .name = queue.shutdown_confirmed,
       .fifo = true,
       .retention = kShutdownRetention,
       .survives_power_cut = false,
       .uses = {.worker = kSendsTo, .controller = kReceivesFrom | kWatches, .deployer = kMakes | kWatches}},
      // Whoever waits for a response is gone after a power cut too, and the result is in the store. A web node sends to
      // its own queue to find out whether it can.
      {.kind = QueueKind::responses,
       .name = queue.response_prefix + "-" + config.web.node,
       .fifo = queue.fifo,
       .retention = std::max(kResponseRetentionMin, std::chrono::ceil<Seconds>(config.web.wait_max)),
       .survives_power_cut = false,
       .owner = QueueOwner::this_node,
       .uses = {.web = kMakes | kSendsTo | kReceivesFrom | kWatches,
                .worker = kSendsTo,
                .deployer = kMakes | kWatches}},
  };
  if (!queue.signals.empty()) {
    roster.push_back({.kind = QueueKind::signals,
                      .name = queue.signals,
                      .retention = kSignalRetention,
                      .survives_power_cut = false,
                      .uses = {.web = kSendsTo | kWatches,
                               .worker = kSendsTo,
                               .controller = kReceivesFrom | kWatches,
                               .deployer = kMakes | kWatches}});
  }
  return roster;
}

std::optional<QueueRow> find_queue(const Config& config, std::string_view name) {
  for (QueueRow& row : queue_roster(config)) {
    if (row.name == name) return std::move(row);
    if (row.kind == QueueKind::responses && is_response_queue(config.queue, name)) {
      row.name = name;
      row.owner = QueueOwner::another_node;
      return std::move(row);
    }
  }
  return std::nullopt;
}

std::string queue_name(const Config& config, QueueKind kind) {
  const auto roster = queue_roster(config);
  const auto row = std::ranges::find(roster, kind, &QueueRow::kind);
  return row == roster.end() ? std::string() : row->name;
}

bool is_response_queue(const QueueConfig& queue, std::string_view name) {
  const std::string prefix = queue.response_prefix + "-";
  return name.size() > prefix.size() && name.starts_with(prefix);
}

}  // namespace imgrec
