// What a stack's state means, and what follows from it. Pure.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "aws/deploy/stack_service.hpp"

namespace imgrec::aws {

enum class StackStep {
  create,    // there is no stack yet, or one that was never made
  update,    // it is there and at rest
  follow,    // it changes: until that has ended nothing else can begin
  remake,    // its first creation failed: it can only be deleted, and made anew
  stuck,     // an update could not be taken back: a person has to decide
  undeploy,  // its deletion failed: it is to be deleted, not changed
};

/// What to do next with a stack of that status to have it as the template says. Nothing: there is no stack.
StackStep next_step(const std::optional<std::string>& status);

/// Why a change failed: the earliest failure that is none of the many that only follow from it (cancelled resources,
/// the stack itself). events: latest first. Nothing: nothing has failed.
std::optional<StackEvent> first_cause(std::span<const StackEvent> events, const Stack& stack);

/// Whether the latest change of a stack with that status failed, or was rolled back.
bool has_failed(std::string_view status);

/// Whether something changes a stack with that status now, or is about to.
bool is_in_progress(std::string_view status);

/// An event of the stack as a whole, not of one of its resources.
bool is_stack_itself(const StackEvent& event, const Stack& stack);

/// The process that works at a stack; it is told in the description of its change sets.
struct StackHolder {
  std::string host;
  long process = 0;
  bool operator==(const StackHolder&) const = default;
};
std::string describe_holder(const StackHolder& holder);
/// Nothing: the text is none of describe_holder().
std::optional<StackHolder> parse_holder(std::string_view description);

/// The name of a change set of imgrec's begins so.
inline constexpr std::string_view kChangeSetPrefix = "imgrec-deploy-";

enum class ChangeSetUse {
  none,      // not imgrec's, or over
  leftover,  // of a process of this machine that has ended, or one that could not be made
  held,      // somebody looks at it at this moment, as far as can be known from here
};
/// is_running: whether its process runs; asked only for one of this machine.
ChangeSetUse use_of(const ChangeSet& set, const StackHolder& self, bool (*is_running)(long process));

/// Whether a change set failed only because there is nothing to change.
bool has_no_changes(const ChangeSet& set);

/// A heading, and a row for each change: action, resource, type, whether it is replaced.
std::vector<std::vector<std::string>> change_rows(std::span<const ResourceChange> changes);

}  // namespace imgrec::aws
