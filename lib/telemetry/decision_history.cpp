#include "lib/telemetry/decision_history.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "lib/base/clock.hpp"
#include "lib/base/text.hpp"

namespace imgrec {
namespace {

void shorten(std::string& text) {
  if (text.size() > DecisionHistory::kTextBytesMax) text.resize(DecisionHistory::kTextBytesMax);
}

// Whether the second says nothing new but its time.
bool repeats(const DecisionRecord& before, const DecisionRecord& now) {
  return before.seen == now.seen && before.wanted == now.wanted && before.actions == now.actions &&
         before.why == now.why && before.error == now.error && before.dry_run == now.dry_run;
}

nlohmann::ordered_json json_of(const DecisionRecord& record) {
  nlohmann::ordered_json json = {{"at", to_rfc3339(record.at)}};
  if (record.times > 1) {
    json["repeated_until"] = to_rfc3339(record.repeated);
    json["times"] = record.times;
  }
  if (record.seen) {
    json["queue"] = {
        {"visible", record.seen->visible}, {"in_flight", record.seen->in_flight}, {"delayed", record.seen->delayed}};
    if (record.seen->oldest_age) json["queue"]["oldest_age_ms"] = record.seen->oldest_age->count();
    json["instances"] = {
        {"pending", record.seen->pending}, {"running", record.seen->running}, {"stopping", record.seen->stopping}};
  }
  if (record.wanted) json["wanted"] = *record.wanted;
  json["take_back"] = record.actions.take_back;
  json["launch"] = record.actions.launch;
  json["ask_to_stop"] = record.actions.ask;
  json["terminate"] = record.actions.terminate;
  json["why"] = to_valid_utf8(record.why);
  if (!record.error.empty()) json["error"] = to_valid_utf8(record.error);
  if (record.dry_run) json["dry_run"] = true;
  return json;
}

}  // namespace

void DecisionHistory::record(DecisionRecord record) {
  shorten(record.why);
  shorten(record.error);
  record.repeated = record.at;
  std::lock_guard lock(mutex_);
  if (!records_.empty() && repeats(records_.back(), record)) {
    records_.back().repeated = record.at;
    ++records_.back().times;
    return;
  }
  records_.push_back(std::move(record));
  if (records_.size() > records_max_) records_.pop_front();
}

std::vector<DecisionRecord> DecisionHistory::latest(std::size_t count) const {
  std::lock_guard lock(mutex_);
  const auto taken = static_cast<std::ptrdiff_t>(std::min(count, records_.size()));
  return {records_.rbegin(), records_.rbegin() + taken};
}

std::string DecisionHistory::to_json(std::size_t count) const {
  auto decisions = nlohmann::ordered_json::array();
  for (const DecisionRecord& record : latest(count)) decisions.push_back(json_of(record));
  return nlohmann::ordered_json{{"decisions", std::move(decisions)}}.dump() + "\n";
}

}  // namespace imgrec
