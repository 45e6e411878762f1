// imgrec deploy
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "aws/adapters/s3_store.hpp"
#include "aws/client/uri.hpp"
#include "aws/deploy/cloud_formation.hpp"
#include "aws/deploy/stack_costs.hpp"
#include "aws/deploy/template.hpp"
#include "cmd/cli/exit_code.hpp"
#include "cmd/cli/signals.hpp"
#include "cmd/cli/terminal.hpp"
#include "cmd/commands/commands.hpp"
#include "cmd/commands/deploying.hpp"
#include "cmd/commands/rights.hpp"
#include "cmd/platform/platforms.hpp"
#include "lib/base/ids.hpp"
#include "lib/base/text.hpp"
#include "roles/controller/policy/policy.hpp"
#include "roles/controller/round.hpp"

namespace imgrec {
namespace {

aws::StackHolder this_process() {
  char host[256] = {};
  ::gethostname(host, sizeof host - 1);
  return {.host = host, .process = ::getpid()};
}

bool is_running(long process) {
  return ::kill(static_cast<pid_t>(process), 0) == 0 || errno == EPERM;
}

// VpcId, where the template has it: from --vpc, or as the stack has it.
Result<std::vector<aws::StackParameter>> parameters_of(const Invocation& call, aws::StackService& service,
                                                       const CallLimits& limits) {
  const bool given = call.has("--vpc");
  if (!aws::needs_vpc(call.config())) {
    if (!given) return std::vector<aws::StackParameter>();
    return fail(ErrorKind::invalid, "no_parameter",
                "--vpc is for aws.subnets without aws.security_groups: here the stack needs no VPC.");
  }
  if (given) return std::vector<aws::StackParameter>{{.name = "VpcId", .value = call.option("--vpc")}};
  const auto stack = service.describe(stack_of(call), limits);
  if (!stack) return fail(stack.error());
  if (aws::next_step(*stack ? std::optional((*stack)->status) : std::nullopt) != aws::StackStep::update) {
    return fail(ErrorKind::invalid, "no_vpc",
                "aws.subnets is set, and the workers' security group has to be in their VPC: name it with --vpc vpc-…, "
                "or set aws.security_groups.");
  }
  return std::vector<aws::StackParameter>{{.name = "VpcId", .value = std::nullopt}};
}

// The template as a call carries it; one that is too long for that is put beside the bundle, from where CloudFormation
// reads it with the caller's rights.
Result<void> place_template(const Config& config, aws::Session& session, const std::string& text,
                            const CallLimits& limits, aws::ChangeSetRequest& change) {
  std::string compact = aws::compact_template(text);
  if (compact.size() <= aws::kInlineTemplateBytesMax) {
    change.template_text = std::move(compact);
    return {};
  }
  const auto buckets = aws_buckets(config.aws);
  if (!buckets) return fail(buckets.error());
  aws::S3StoreOptions options = store_options(config.aws);
  options.bucket = buckets->bundle;
  options.setup = aws::BucketSetup::use;
  const auto store = aws::open_s3_store(session, options);
  if (!store) return fail(store.error());
  const std::string key = "bundles/" + change.stack + "-stack.json";
  const auto stored = (*store)->put(ObjectKey(key), compact, {.content_type = "application/json"}, limits);
  if (!stored) return fail(stored.error());
  const auto endpoint = aws::bucket_endpoint(session.endpoints(), buckets->bundle);
  if (!endpoint) return fail(endpoint.error());
  change.template_url = endpoint->scheme + "://" + endpoint->authority + endpoint->base_path + "/" +
                        aws::uri_encode(key, aws::Slash::keep);
  return {};
}

void print_costs(const ControllerConfig& controller) {
  if (controller.price > 0) {
    std::printf("Worker machines cost, at %g dollars an hour (controller.price), when they run all the time:\n%s",
                controller.price,
                as_columns(aws::cost_rows(controller.price, instance_limit(scaling_rules(controller)))).c_str());
  } else {
    std::printf("What worker machines cost is not known: set controller.price, the dollars an hour of one.\n");
  }
  std::printf(
      "Not counted: the machines of web and controller, the machines' volumes, calls of SQS and S3, stored images and\n"
      "results, traffic.\n\n");
}

int finish(const aws::DeployOutcome& outcome, const std::string& stack) {
  switch (outcome.end) {
    case aws::DeployEnd::changed:
      std::printf("\nThe stack %s is as the settings say.\n", printable(stack).c_str());
      break;
    case aws::DeployEnd::unchanged:
      std::printf("No changes: the stack %s is as the settings say.\n", printable(stack).c_str());
      break;
    case aws::DeployEnd::declined: std::printf("Nothing was changed.\n"); return kExitItemFailed;
    case aws::DeployEnd::shown: std::printf("Nothing was changed (--dry-run).\n"); return kExitOk;
    case aws::DeployEnd::failed: return kExitItemFailed;
  }
  std::vector<std::vector<std::string>> rows;
  for (const auto& [name, value] : outcome.outputs) rows.push_back({printable(name), printable(value)});
  if (!rows.empty()) std::printf("\n%s", as_columns(rows).c_str());
  return kExitOk;
}

int run_deploy(const Invocation& call) {
  const Config& config = call.config();
  auto session = open_aws_session(config, system_clock(), system_rng());
  if (!session) return report(session.error());
  const auto text = stack_template(config, **session);
  if (!text) return report(text.error());
  Interrupts interrupts;
  aws::CloudFormation service(**session);
  aws::DeployRequest request{.change = {.stack = stack_of(call),
                                        .name = std::string(aws::kChangeSetPrefix) + random_hex(system_rng(), 8),
                                        .template_text = {},
                                        .parameters = {},
                                        .tags = {{"imgrec:fleet", config.aws.fleet}},
                                        .description = {},
                                        .role = call.option("--role")},
                             .self = this_process(),
                             .is_running = is_running,
                             .take_over = call.has("--take-over"),
                             .only_show = call.has("--dry-run")};
  const CallLimits limits(Deadline::in(system_clock(), request.limits.call), interrupts.token());
  if (!call.has("--skip-rights-check")) {
    auto allowed = require_rights(**session, config, service, {request.change.stack, request.change.role}, limits);
    if (!allowed) return report(allowed.error());
  }
  if (auto placed = place_template(config, **session, *text, limits, request.change); !placed) {
    return report(placed.error());
  }
  auto parameters = parameters_of(call, service, limits);
  if (!parameters) return report(parameters.error());
  request.change.parameters = *std::move(parameters);
  const auto outcome = aws::deploy_stack(service, request, deploy_talk(call.has("--yes"), interrupts.token()),
                                         system_clock(), interrupts.token());
  if (!outcome) return report(outcome.error());
  if (outcome->end == aws::DeployEnd::shown || (request.only_show && outcome->end == aws::DeployEnd::unchanged)) {
    print_costs(config.controller);
  }
  return finish(*outcome, request.change.stack);
}

}  // namespace

Command deploy_command() {
  return {
      .name = "deploy",
      .summary = "Make or change the CloudFormation stack of the service on AWS: shows the changes, asks, and waits",
      .settings = kConfigCommand,
      .examples = {{"imgrec deploy --config aws.toml", "shows what would change, asks, and follows it to its end"},
                   {"imgrec deploy --config aws.toml --dry-run",
                    "what would change, and what a month costs; changes nothing"}},
      .options = {{"--stack", "NAME", "the stack's name (as aws.fleet: imgrec)"},
                  {"--yes", "", "do not ask"},
                  {"--dry-run", "", "show the changes and what a month costs; change nothing"},
                  {"--role", "ARN", "what CloudFormation acts as (configs/iam/stack.json), now and later; else as you"},
                  {"--vpc", "ID", "the VPC of aws.subnets, when the stack is made and aws.security_groups is not set"},
                  {"--skip-rights-check", "",
                   "do not ask IAM whether all rights are there (imgrec doctor --for deployer)"},
                  {"--take-over", "", "remove the change set of another imgrec deploy that is at it no more"}},
      .notes =
          "It begins with the rights: of the caller and of what CloudFormation acts as, by IAM's policy simulator. "
          "What\n"
          "it needs, and what is in the stack: imgrec deploy template --help. Interrupted at any point, run it\n"
          "again: it follows what CloudFormation does meanwhile, and goes on. A template of more than 51200 bytes, as "
          "with\n"
          "many tags, is put into aws.bundle_bucket for CloudFormation. It exits with 1 when the change failed,\n"
          "whose first cause it prints, or when the answer is no; with 3 when another imgrec deploy is at it.",
      .run = run_deploy};
}

}  // namespace imgrec
