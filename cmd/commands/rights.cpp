#include "cmd/commands/rights.hpp"

#include "aws/deploy/template.hpp"
#include "aws/inspect/account.hpp"
#include "cmd/cli/exit_code.hpp"
#include "cmd/platform/platforms.hpp"

namespace imgrec {
namespace {

constexpr std::size_t kNamedMax = 12;  // of missing rights in a message

// Fills the answer for the user or role `who`.
Result<void> ask(aws::Session& session, const Config& config, std::string_view policy, RightsAnswer& answer,
                 const CallLimits& limits) {
  const auto place = aws::place_of(answer.who, session.region());
  const auto buckets = aws_buckets(config.aws);
  if (!buckets) return fail(buckets.error());
  if (!place) return fail(ErrorKind::invalid, "no_arn", answer.who + " is no ARN.");
  const auto questions = aws::questions_of(policy, config,
                                           {.input_bucket = buckets->input,
                                            .output_bucket = buckets->output,
                                            .bundle_bucket = buckets->bundle,
                                            .worker_user_data = {}},
                                           *place);
  if (!questions) return fail(questions.error());
  auto missing = aws::missing_rights(session, answer.who, *questions, limits);
  if (!missing) return fail(missing.error());
  for (const aws::RightsQuestion& one : *questions) answer.actions += one.actions.size();
  answer.missing = *std::move(missing);
  return {};
}

RightsAnswer rights_of(aws::Session& session, const Config& config, std::string_view policy, RightsAnswer answer,
                       const CallLimits& limits) {
  const auto who = aws::principal_of(session, answer.who, limits);
  if (!who) {
    answer.unknown = answer.who.ends_with(":root") ? "the account's root may do everything, and has no policies"
                                                   : "it is no user and no role, whose policies IAM knows";
    return answer;
  }
  answer.who = *who;
  if (auto asked = ask(session, config, policy, answer, limits); !asked) {
    answer.unknown = asked.error().message;
    answer.is_gone = !answer.is_caller && asked.error().kind == ErrorKind::not_found;
  }
  return answer;
}

Result<void> require(const RightsAnswer& answer) {
  if (answer.is_gone) {
    return fail(ErrorKind::not_found, "no_role",
                "There is no role " + answer.who + " that CloudFormation could act as: make it with " + answer.file +
                    " (configs/iam/README.md), or name another with --role.");
  }
  if (!answer.unknown.empty()) {
    complain("The rights of " + answer.file + " were not checked. " + describe(answer));
    return {};
  }
  if (answer.missing.empty()) return {};
  return fail(ErrorKind::denied, "rights_missing",
              describe(answer) + ". " + advice(answer) + " --skip-rights-check deploys without asking IAM.");
}

}  // namespace

RightsAnswer deployer_rights(aws::Session& session, const Config& config, const std::string& caller,
                             const CallLimits& limits) {
  return rights_of(session, config, aws::kDeployerPolicy,
                   {.who = caller,
                    .file = "configs/iam/deployer.json",
                    .is_caller = true,
                    .actions = 0,
                    .missing = {},
                    .unknown = {},
                    .is_gone = false},
                   limits);
}

RightsAnswer stack_rights(aws::Session& session, const Config& config, const std::string& caller,
                          const std::string& role, const CallLimits& limits) {
  return rights_of(session, config, aws::kStackPolicy,
                   {.who = role.empty() ? caller : role,
                    .file = "configs/iam/stack.json",
                    .is_caller = role.empty(),
                    .actions = 0,
                    .missing = {},
                    .unknown = {},
                    .is_gone = false},
                   limits);
}

std::string describe(const RightsAnswer& answer) {
  if (!answer.unknown.empty()) return "IAM was not asked about " + answer.who + ": " + answer.unknown;
  if (answer.missing.empty()) {
    return answer.who + " has the " + std::to_string(answer.actions) + " rights of " + answer.file +
           ", as IAM's policy simulator says";
  }
  return answer.who + " lacks of " + answer.file + ": " + aws::describe_missing(answer.missing, kNamedMax);
}

std::string advice(const RightsAnswer& answer) {
  const bool is_of_stack = answer.file == "configs/iam/stack.json";
  if (is_of_stack && answer.is_caller) {
    return "Make a role that cloudformation.amazonaws.com may assume, with configs/iam/stack.json, and name it: "
           "`imgrec "
           "deploy --role ARN`. Without one CloudFormation acts as the caller, who then needs that file too.";
  }
  return "Attach " + answer.file + " to it, its words in capitals replaced as configs/iam/README.md says.";
}

Result<void> require_rights(aws::Session& session, const Config& config, aws::StackService& service,
                            const StackToChange& stack, const CallLimits& limits) {
  const auto caller = aws::caller_identity(session, limits);
  if (!caller) return fail(caller.error());
  const RightsAnswer own = deployer_rights(session, config, caller->arn, limits);
  if (auto enough = require(own); !enough) return enough;
  if (!own.unknown.empty()) return {};  // whoever may not ask of itself may not ask of a role
  std::string role = stack.role;
  if (role.empty()) {
    const auto found = service.describe(stack.name, limits);
    if (!found) return fail(found.error());
    if (*found) role = (*found)->role;
  }
  return require(stack_rights(session, config, caller->arn, role, limits));
}

}  // namespace imgrec
