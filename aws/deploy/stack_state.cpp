#include "aws/deploy/stack_state.hpp"

#include <algorithm>
#include <charconv>

namespace imgrec::aws {
namespace {

constexpr std::string_view kHolderStart = "imgrec deploy, process ", kHolderMiddle = " on ";

std::string replacement_words(const ResourceChange& change) {
  if (change.replacement == "True") return "replaced";
  if (change.replacement == "Conditional") return "perhaps replaced";
  return "";
}

}  // namespace

StackStep next_step(const std::optional<std::string>& status) {
  if (!status || *status == "DELETE_COMPLETE" || *status == "REVIEW_IN_PROGRESS") return StackStep::create;
  if (is_in_progress(*status)) return StackStep::follow;
  if (*status == "ROLLBACK_COMPLETE" || *status == "ROLLBACK_FAILED" || *status == "CREATE_FAILED") {
    return StackStep::remake;
  }
  if (*status == "DELETE_FAILED") return StackStep::undeploy;
  if (*status == "UPDATE_ROLLBACK_FAILED") return StackStep::stuck;
  return StackStep::update;
}

bool is_stack_itself(const StackEvent& event, const Stack& stack) {
  return event.type == "AWS::CloudFormation::Stack" && event.id == stack.id;
}

std::optional<StackEvent> first_cause(std::span<const StackEvent> events, const Stack& stack) {
  const auto is_cause = [&](const StackEvent& event) {
    // "Resource creation cancelled", of what was under way when something else failed.
    return event.status.ends_with("_FAILED") && !is_stack_itself(event, stack) &&
           event.reason.find("cancelled") == std::string::npos;
  };
  const auto found = std::find_if(events.rbegin(), events.rend(), is_cause);
  if (found == events.rend()) return std::nullopt;
  return *found;
}

bool has_failed(std::string_view status) {
  return status.ends_with("_FAILED") || status.find("ROLLBACK") != std::string_view::npos;
}

bool is_in_progress(std::string_view status) {
  return status.ends_with("_IN_PROGRESS");
}

std::string describe_holder(const StackHolder& holder) {
  return std::string(kHolderStart) + std::to_string(holder.process) + std::string(kHolderMiddle) + holder.host;
}

std::optional<StackHolder> parse_holder(std::string_view description) {
  if (!description.starts_with(kHolderStart)) return std::nullopt;
  description.remove_prefix(kHolderStart.size());
  StackHolder out;
  const char* const end = description.data() + description.size();
  const auto [rest, wrong] = std::from_chars(description.data(), end, out.process);
  description.remove_prefix(static_cast<std::size_t>(rest - description.data()));
  if (wrong != std::errc() || !description.starts_with(kHolderMiddle)) return std::nullopt;
  out.host = description.substr(kHolderMiddle.size());
  return out;
}

ChangeSetUse use_of(const ChangeSet& set, const StackHolder& self, bool (*is_running)(long process)) {
  if (!set.name.starts_with(kChangeSetPrefix)) return ChangeSetUse::none;
  if (set.status == "FAILED") return ChangeSetUse::leftover;
  const bool is_made = set.status == "CREATE_COMPLETE" && set.execution_status == "AVAILABLE";
  if (!is_made && set.status != "CREATE_PENDING" && set.status != "CREATE_IN_PROGRESS") return ChangeSetUse::none;
  const auto holder = parse_holder(set.description);
  if (!holder || holder->host != self.host) return ChangeSetUse::held;
  return holder->process == self.process || !is_running(holder->process) ? ChangeSetUse::leftover : ChangeSetUse::held;
}

bool has_no_changes(const ChangeSet& set) {
  return set.status == "FAILED" && (set.reason.find("didn't contain changes") != std::string::npos ||
                                    set.reason.find("No updates are to be performed") != std::string::npos);
}

std::vector<std::vector<std::string>> change_rows(std::span<const ResourceChange> changes) {
  std::vector<std::vector<std::string>> rows = {{"ACTION", "RESOURCE", "TYPE", "REPLACEMENT"}};
  for (const ResourceChange& change : changes) {
    rows.push_back({change.action, change.name, change.type, replacement_words(change)});
  }
  return rows;
}

}  // namespace imgrec::aws
