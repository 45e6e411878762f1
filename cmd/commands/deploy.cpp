// imgrec deploy template and status
#include <cstdio>

#include "aws/deploy/cloud_formation.hpp"
#include "aws/deploy/stack_state.hpp"
#include "cmd/cli/exit_code.hpp"
#include "cmd/cli/terminal.hpp"
#include "cmd/commands/boot_times.hpp"
#include "cmd/commands/commands.hpp"
#include "cmd/commands/deploying.hpp"
#include "cmd/commands/prebaking.hpp"
#include "cmd/platform/platforms.hpp"
#include "lib/base/text.hpp"

namespace imgrec {
namespace {

constexpr Millis kStatusDeadline{60'000};

int run_deploy_template(const Invocation& call) {
  auto session = open_aws_session(call.config(), system_clock(), system_rng());
  if (!session) return report(session.error());
  const auto text = stack_template(call.config(), **session);
  if (!text) return report(text.error());
  print(*text);
  return kExitOk;
}

void print_resources(const std::vector<aws::StackResource>& resources) {
  std::vector<std::vector<std::string>> rows;
  for (const aws::StackResource& one : resources) {
    rows.push_back({printable(one.name), printable(one.status), printable(one.id)});
  }
  std::printf("%s", as_columns(rows).c_str());
}

// Returns false when the events cannot be read, which was then said.
bool print_cause(aws::CloudFormation& service, const aws::Stack& stack, const CallLimits& limits) {
  const auto events = service.latest_events(stack, limits);
  if (!events) {
    report(events.error());
    return false;
  }
  if (const auto cause = aws::first_cause(*events, stack)) {
    std::printf("\nFirst failure: %s (%s): %s\n", printable(cause->name).c_str(), printable(cause->type).c_str(),
                printable(cause->reason).c_str());
  }
  return true;
}

int run_deploy_status(const Invocation& call) {
  const std::string name = call.has("--stack") ? call.option("--stack") : call.config().aws.fleet;
  auto session = open_aws_session(call.config(), system_clock(), system_rng());
  if (!session) return report(session.error());
  const CallLimits limits = Deadline::in(system_clock(), kStatusDeadline);
  aws::CloudFormation service(**session);
  const auto stack = service.describe(name, limits);
  if (!stack) return report(stack.error());
  if (!*stack) {
    return report({ErrorKind::not_found, "no_stack",
                   "There is no stack " + json_quote(name) + " in region " + (*session)->region() +
                       ": `imgrec deploy` makes it; or name another with --stack."});
  }
  const auto resources = service.resources(**stack, limits);
  if (!resources) return report(resources.error());
  const bool failed = aws::has_failed((*stack)->status);
  std::printf("Stack %s: %s\n", printable(name).c_str(), printable((*stack)->status).c_str());
  if (!(*stack)->reason.empty()) std::printf("%s\n", printable((*stack)->reason).c_str());
  if ((*stack)->status == "REVIEW_IN_PROGRESS") {
    std::printf(
        "Nothing is made yet: an imgrec deploy waits for its answer, or was broken off. The same command again goes "
        "on.\n");
  }
  std::printf("\n");
  print_resources(*resources);
  print_address((*stack)->outputs);
  const auto boots = boot_times(call.config(), **session, limits);
  if (!boots) complain("How long machines took to start is not known. " + boots.error().message);
  if (boots && !boots->empty()) std::printf("\n%s", boots->c_str());
  const auto builders = open_images(call.config(), **session)->builders(limits);
  if (!builders) complain("Whether a machine is there to make an image is not known. " + builders.error().message);
  for (const std::string& line : builders ? describe_builders(*builders) : std::vector<std::string>()) {
    std::printf("\n%s\n", printable(line).c_str());
  }
  if (failed && !print_cause(service, **stack, limits)) return kExitUnreachable;
  return failed ? kExitItemFailed : kExitOk;
}

}  // namespace

Command deploy_template_command() {
  return {
      .name = "deploy template",
      .summary =
          "Print a CloudFormation template of queues, buckets, roles, the workers' launch template and the web "
          "instance",
      .settings = kConfigCommand,
      .examples = {{"imgrec deploy template --config aws.toml > stack.json",
                    "for aws cloudformation deploy --template-file stack.json"}},
      .notes =
          "It needs aws.input_bucket, aws.image_id, aws.instance_types, a bundle that is in a bucket of its own\n"
          "(aws.bundle_bucket; imgrec bundle upload), and deploy.allowed_cidr, the addresses that may reach the web\n"
          "instance. That runs imgrec web and imgrec controller and has an Elastic IP; with deploy.web = false it is\n"
          "not in the stack. With subnets of yours (aws.subnets, deploy.web_subnets) the stack has the parameter "
          "VpcId.\n"
          "Nothing is called, and no secret is in it.",
      .run = run_deploy_template};
}

Command deploy_status_command() {
  return {.name = "deploy status",
          .summary =
              "Show a CloudFormation stack, its resources, how long machines took to start, and the first cause of a "
              "failure",
          .settings = kConfigCommand,
          .examples = {{"imgrec deploy status --config aws.toml", "the stack that is called as aws.fleet says"}},
          .options = {{"--stack", "NAME", "the stack's name (as aws.fleet: imgrec)"}},
          .notes =
              "With the address of the web instance, and a machine that imgrec deploy --prebaked left when it was\n"
              "interrupted. It exits with 1 when the stack's latest change failed or was rolled back.",
          .run = run_deploy_status};
}

}  // namespace imgrec
