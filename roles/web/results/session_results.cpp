#include "roles/web/results/session_results.hpp"

#include <algorithm>
#include <ranges>
#include <string_view>
#include <utility>

namespace imgrec {
namespace {

constexpr std::uint64_t kOverhead = 512;  // of the containers and ids of one result

std::uint64_t weight(const SessionResult& result) {
  return result.name.size() + result.label.size() + result.document.size() + kOverhead;
}

}  // namespace

void SessionResults::record(const JobResult& result) {
  SessionResult entry{.number = 0,
                      .serial = 0,
                      .name = result.name,
                      .label = result.error ? "error: " + result.error->code : result.labels.front().label,
                      .document = to_json(result)};
  const std::uint64_t bytes = weight(entry);
  std::lock_guard lock(mutex_);
  if (bytes > limits_.session_bytes_max || !known_.insert(result.job).second) return;
  entry.number = ++last_number_;
  order_.push_back({entry.number, result.session, result.job});
  const auto session = sessions_.try_emplace(result.session).first;
  entry.serial = ++session->second.count;
  session->second.results.push_back(std::make_shared<const SessionResult>(std::move(entry)));
  session->second.bytes += bytes;
  bytes_ += bytes;
  while (session->second.bytes > limits_.session_bytes_max) drop_oldest_of(session);
  while (order_.size() > limits_.results_max || bytes_ > limits_.bytes_max) drop_oldest();
}

void SessionResults::drop_oldest_of(Sessions::iterator session) {
  const std::uint64_t bytes = weight(*session->second.results.front());
  session->second.results.pop_front();
  session->second.bytes -= bytes;
  bytes_ -= bytes;
  if (session->second.results.empty()) sessions_.erase(session);
}

void SessionResults::drop_oldest() {
  const Recorded oldest = std::move(order_.front());
  order_.pop_front();
  known_.erase(oldest.job);
  const auto session = sessions_.find(oldest.session);
  if (session != sessions_.end() && session->second.results.front()->number == oldest.number) drop_oldest_of(session);
}

SessionResults::Page SessionResults::page(const SessionId& session, std::uint64_t after, std::size_t results_max,
                                          std::uint64_t bytes_max) const {
  std::lock_guard lock(mutex_);
  Page page;
  const auto found = sessions_.find(session);
  if (found == sessions_.end()) return page;
  page.count = found->second.count;
  const auto& results = found->second.results;
  auto at = std::ranges::upper_bound(results, after, {}, [](const Entry& entry) { return entry->number; });
  std::uint64_t bytes = 0;
  for (; at != results.end(); ++at) {
    bytes += (*at)->document.size() + (*at)->name.size() + (*at)->label.size();
    if (!page.results.empty() && (page.results.size() >= results_max || bytes > bytes_max)) break;
    page.results.push_back(*at);
  }
  if (at != results.end()) page.next = page.results.back()->number;
  return page;
}

std::vector<std::uint64_t> SessionResults::latest_of_names(const SessionId& session, std::uint64_t after) const {
  std::vector<std::uint64_t> numbers;
  std::lock_guard lock(mutex_);
  const auto found = sessions_.find(session);
  if (found == sessions_.end()) return numbers;
  std::unordered_set<std::string_view> names;
  for (const Entry& entry : found->second.results | std::views::reverse) {
    if (entry->number > after && names.insert(entry->name).second) numbers.push_back(entry->number);
  }
  std::ranges::reverse(numbers);
  return numbers;
}

void SessionResults::forget(const SessionId& session) {
  std::lock_guard lock(mutex_);
  const auto found = sessions_.find(session);
  if (found == sessions_.end()) return;
  bytes_ -= found->second.bytes;
  sessions_.erase(found);
  std::erase_if(order_, [&](const Recorded& recorded) {
    if (recorded.session != session) return false;
    known_.erase(recorded.job);
    return true;
  });
}

std::uint64_t SessionResults::bytes() const {
  std::lock_guard lock(mutex_);
  return bytes_;
}

}  // namespace imgrec
