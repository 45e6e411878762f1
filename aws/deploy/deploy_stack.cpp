#include "aws/deploy/deploy_stack.hpp"

#include <ranges>
#include <set>
#include <utility>

#include "lib/base/text.hpp"

namespace imgrec::aws {
namespace {

constexpr int kStepsMax = 10;  // follow, delete, follow …: more than that is another's doing

std::unexpected<Error> interrupted(const std::string& stack) {
  return fail(ErrorKind::cancelled, "cancelled",
              "Interrupted. What CloudFormation has begun with the stack " + json_quote(stack) +
                  " goes on there; the same command again follows it and goes on.");
}

/// What deploying and deleting have in common: calls with their limits, and a change that is followed to its end.
class StackWork {
 public:
  StackWork(StackService& service, std::string name, const DeployLimits& limits, const DeployTalk& talk, Clock& clock,
            std::stop_token stop)
      : service_(service), name_(std::move(name)), wait_(limits), talk_(talk), clock_(clock), stop_(std::move(stop)) {}

 protected:
  CallLimits limits() const { return {Deadline::in(clock_, wait_.call), stop_}; }
  Result<std::optional<Stack>> look(const std::string& stack) { return service_.describe(stack, limits()); }

  // What follows is told of what has not happened yet.
  Result<void> remember_events(const Stack& stack) {
    const auto events = service_.latest_events(stack, limits());
    if (!events) return fail(events.error());
    for (const StackEvent& event : *events) seen_.insert(event.event_id);
    return {};
  }

  // Returns true when the stack's change has ended with that status, by an event not told before.
  Result<bool> tell_events(const Stack& stack) {
    const auto events = service_.latest_events(stack, limits());
    if (!events) return fail(events.error());
    bool ended = false;
    for (const StackEvent& event : std::views::reverse(*events)) {
      if (!seen_.insert(event.event_id).second) continue;
      ended = ended || (is_stack_itself(event, stack) && event.status == stack.status);
      talk_.say(event.name + "  " + event.status + (event.reason.empty() ? "" : "  " + event.reason));
    }
    return ended && !is_in_progress(stack.status);
  }

  /// Waits for the end of a change; begun_here: of one that was begun just now, which the status may not tell yet.
  Result<Stack> follow(const Stack& from, bool begun_here) {
    const Deadline end = Deadline::in(clock_, wait_.change);
    while (true) {
      auto now = look(from.id);
      if (!now) return fail(now.error());
      if (!*now) return Stack{.id = from.id, .status = "DELETE_COMPLETE", .reason = {}, .outputs = {}};
      const auto ended = tell_events(**now);
      if (!ended) return fail(ended.error());
      const bool rests = !is_in_progress((*now)->status);
      if (*ended || (rests && (!begun_here || (*now)->status == "DELETE_COMPLETE"))) return *std::move(*now);
      if (end.left(clock_) == Millis(0)) {
        return fail(ErrorKind::transient, "timeout",
                    "The stack " + json_quote(name_) + " still changes (" + (*now)->status +
                        "): the same command again follows it on.");
      }
      if (!clock_.sleep_for(wait_.poll, stop_)) return interrupted(name_);
    }
  }

  Result<void> tell_cause(const Stack& stack) {
    const auto events = service_.latest_events(stack, limits());
    if (!events) return fail(events.error());
    const auto cause = first_cause(*events, stack);
    talk_.say("The stack is " + stack.status + "." +
              (cause ? " First failure: " + cause->name + " (" + cause->type + "): " + cause->reason
                     : (stack.reason.empty() ? "" : " " + stack.reason)));
    return {};
  }

  Result<Stack> remove(const Stack& stack) {
    if (auto remembered = remember_events(stack); !remembered) return fail(remembered.error());
    if (auto begun = service_.delete_stack(stack, limits()); !begun) return fail(begun.error());
    return follow(stack, true);
  }

  StackService& service_;
  const std::string name_;
  const DeployLimits wait_;
  const DeployTalk& talk_;
  Clock& clock_;
  const std::stop_token stop_;
  std::set<std::string> seen_;
};

class Deployment : StackWork {
 public:
  Deployment(StackService& service, const DeployRequest& request, const DeployTalk& talk, Clock& clock,
             std::stop_token stop)
      : StackWork(service, request.change.stack, request.limits, talk, clock, std::move(stop)), request_(request) {}

  Result<DeployOutcome> run() {
    for (int step = 0; step < kStepsMax; ++step) {
      const auto stack = look(name_);
      if (!stack) return fail(stack.error());
      const auto status = *stack ? std::optional((*stack)->status) : std::nullopt;
      switch (next_step(status)) {
        case StackStep::create: return apply(*stack, true);
        case StackStep::update: return apply(*stack, false);
        case StackStep::follow: {
          talk_.say("The stack changes now (" + *status +
                    "): another imgrec deploy, or an interrupted one, or somebody in the console began that. "
                    "Following it to its end.");
          const auto ended = follow(**stack, false);
          if (!ended) return fail(ended.error());
          if (!has_failed(ended->status)) break;
          if (auto told = tell_cause(*ended); !told) return fail(told.error());
          break;
        }
        case StackStep::remake: {
          const auto removed = remove_failed(**stack);
          if (!removed) return fail(removed.error());
          if (*removed != DeployEnd::changed) return DeployOutcome{.end = *removed};
          break;
        }
        case StackStep::undeploy:
          return fail(ErrorKind::invalid, "stack_stuck",
                      "The stack " + json_quote(name_) +
                          " could not be deleted (DELETE_FAILED): `imgrec undeploy` tries again, then deploy.");
        case StackStep::stuck:
          return fail(
              ErrorKind::invalid, "stack_stuck",
              "An update of the stack " + json_quote(name_) +
                  " could not be taken back (UPDATE_ROLLBACK_FAILED): correct what `imgrec deploy status` says, "
                  "continue the rollback in CloudFormation's console, then deploy.");
      }
    }
    return fail(ErrorKind::transient, "held", "Others change the stack " + json_quote(name_) + " again and again.");
  }

 private:
  Result<DeployEnd> remove_failed(const Stack& stack) {
    if (auto told = tell_cause(stack); !told) return fail(told.error());
    if (request_.only_show) {
      return fail(ErrorKind::invalid, "stack_stuck",
                  "The first creation of the stack failed, and such a stack can only be deleted and made anew, which "
                  "`imgrec deploy` does: there are no changes to be shown.");
    }
    const auto consent = talk_.confirm(
        "Its first creation failed, and such a stack can only be deleted and made anew. "
        "Delete what is left of it?");
    if (!consent) return fail(consent.error());
    if (!*consent) return DeployEnd::declined;
    const auto gone = remove(stack);
    if (!gone) return fail(gone.error());
    if (gone->status == "DELETE_COMPLETE") return DeployEnd::changed;
    if (auto told = tell_cause(*gone); !told) return fail(told.error());
    return DeployEnd::failed;
  }

  // Removes change sets that nobody needs any more. Errors: transient "held".
  Result<void> clear_change_sets(const Stack& stack) {
    const auto sets = service_.change_sets(stack, limits());
    if (!sets) return fail(sets.error());
    for (const ChangeSet& set : *sets) {
      const ChangeSetUse use = use_of(set, request_.self, request_.is_running);
      if (use == ChangeSetUse::none) continue;
      if (use == ChangeSetUse::held && !request_.take_over) {
        return fail(ErrorKind::transient, "held",
                    "The stack " + json_quote(name_) + " is held by \"" + set.description + "\" since " +
                        set.created_at + " (change set " + set.name +
                        "): wait until it has ended, or remove its change set with --take-over.");
      }
      talk_.say("Removing a change set that was left over: " + set.name);
      if (auto removed = service_.delete_change_set(stack.id, set.name, limits()); !removed) return removed;
    }
    return {};
  }

  Result<ChangeSet> make_change_set(bool creates) {
    ChangeSetRequest wanted = request_.change;
    wanted.creates = creates;
    wanted.description = describe_holder(request_.self);
    if (auto begun = service_.create_change_set(wanted, limits()); !begun) return fail(begun.error());
    const Deadline end = Deadline::in(clock_, wait_.change_set);
    while (true) {
      auto set = service_.change_set(name_, wanted.name, limits());
      if (!set) return fail(set.error());
      // What was made a moment ago may not be there yet.
      if (*set && (*set)->status != "CREATE_PENDING" && !is_in_progress((*set)->status)) return *std::move(*set);
      if (end.left(clock_) == Millis(0)) {
        return fail(ErrorKind::transient, "timeout", "CloudFormation does not finish the change set: try again later.");
      }
      if (!clock_.sleep_for(wait_.poll, stop_)) return interrupted(name_);
    }
  }

  // Nothing stays of what was only looked at. The stop does not hold here: it is what the person asked for.
  Result<void> drop(const ChangeSet& set, bool with_stack) {
    const CallLimits tidy = Deadline::in(clock_, wait_.call);
    if (auto removed = service_.delete_change_set(set.stack_id, set.name, tidy); !removed) return removed;
    if (!with_stack) return {};
    const auto stack = service_.describe(set.stack_id, tidy);
    if (!stack) return fail(stack.error());
    if (!*stack || (*stack)->status != "REVIEW_IN_PROGRESS") return {};
    return service_.delete_stack(**stack, tidy);
  }

  Result<DeployOutcome> apply(const std::optional<Stack>& before, bool creates) {
    const bool makes_stack = !before || before->status == "DELETE_COMPLETE";
    if (!makes_stack) {
      if (auto cleared = clear_change_sets(*before); !cleared) return fail(cleared.error());
    }
    const auto set = make_change_set(creates);
    if (!set) return fail(set.error());
    if (has_no_changes(*set) || set->status != "CREATE_COMPLETE") {
      if (auto dropped = drop(*set, makes_stack); !dropped) return fail(dropped.error());
      if (has_no_changes(*set)) return DeployOutcome{.end = DeployEnd::unchanged, .outputs = before->outputs};
      return fail(ErrorKind::invalid, "change_set_failed", "CloudFormation cannot make this change: " + set->reason);
    }
    talk_.show(*set);
    if (request_.only_show) {
      if (auto dropped = drop(*set, makes_stack); !dropped) return fail(dropped.error());
      return DeployOutcome{.end = DeployEnd::shown};
    }
    const auto consent = talk_.confirm(creates ? "Make this stack?" : "Make these changes?");
    if (!consent || !*consent) {
      if (auto dropped = drop(*set, makes_stack); !dropped) return fail(dropped.error());
      if (!consent) return fail(consent.error());
      return DeployOutcome{.end = DeployEnd::declined};
    }
    return execute(*set);
  }

  Result<DeployOutcome> execute(const ChangeSet& set) {
    const auto stack = look(set.stack_id);
    if (!stack) return fail(stack.error());
    if (!*stack) {
      return fail(ErrorKind::transient, "held", "Somebody deleted the stack " + json_quote(name_) + " meanwhile.");
    }
    if (auto remembered = remember_events(**stack); !remembered) return fail(remembered.error());
    if (auto begun = service_.execute(set.stack_id, set.name, limits()); !begun) {
      if (begun.error().kind != ErrorKind::not_found) return fail(begun.error());
      return fail(ErrorKind::transient, "held", begun.error().message + " The same command again follows it.");
    }
    const auto ended = follow(**stack, true);
    if (!ended) return fail(ended.error());
    if (!has_failed(ended->status)) return DeployOutcome{.end = DeployEnd::changed, .outputs = ended->outputs};
    if (auto told = tell_cause(*ended); !told) return fail(told.error());
    return DeployOutcome{.end = DeployEnd::failed};
  }

  const DeployRequest& request_;
};

class Deletion : StackWork {
 public:
  using StackWork::StackWork;

  Result<DeployEnd> run() {
    for (int step = 0; step < kStepsMax; ++step) {
      const auto stack = look(name_);
      if (!stack) return fail(stack.error());
      if (!*stack || (*stack)->status == "DELETE_COMPLETE") {
        return step == 0 ? DeployEnd::unchanged : DeployEnd::changed;
      }
      const bool changes = next_step((*stack)->status) == StackStep::follow;
      if (changes) talk_.say("The stack changes now (" + (*stack)->status + "): following it to its end.");
      const auto ended = changes ? follow(**stack, false) : remove(**stack);
      if (!ended) return fail(ended.error());
      if (ended->status == "DELETE_COMPLETE") return DeployEnd::changed;
      if (changes && ended->status != "DELETE_FAILED") continue;
      if (auto told = tell_cause(*ended); !told) return fail(told.error());
      return DeployEnd::failed;
    }
    return fail(ErrorKind::transient, "held", "Others change the stack " + json_quote(name_) + " again and again.");
  }
};

}  // namespace

Result<DeployOutcome> deploy_stack(StackService& service, const DeployRequest& request, const DeployTalk& talk,
                                   Clock& clock, std::stop_token stop) {
  auto done = Deployment(service, request, talk, clock, std::move(stop)).run();
  if (!done && done.error().code == "cancelled") return interrupted(request.change.stack);
  return done;
}

Result<DeployEnd> delete_whole_stack(StackService& service, const std::string& name, const DeployLimits& limits,
                                     const DeployTalk& talk, Clock& clock, std::stop_token stop) {
  auto done = Deletion(service, name, limits, talk, clock, std::move(stop)).run();
  if (!done && done.error().code == "cancelled") return interrupted(name);
  return done;
}

}  // namespace imgrec::aws
