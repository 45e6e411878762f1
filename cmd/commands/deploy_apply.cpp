// imgrec deploy
#include <algorithm>
#include <cstdio>

#include "aws/adapters/asg_api.hpp"
#include "aws/adapters/s3_store.hpp"
#include "aws/client/uri.hpp"
#include "aws/deploy/cloud_formation.hpp"
#include "aws/deploy/stack_costs.hpp"
#include "aws/deploy/template.hpp"
#include "aws/deploy/template_policies.hpp"
#include "cmd/cli/exit_code.hpp"
#include "cmd/cli/signals.hpp"
#include "cmd/cli/terminal.hpp"
#include "cmd/commands/commands.hpp"
#include "cmd/commands/deploying.hpp"
#include "cmd/commands/prebaking.hpp"
#include "cmd/commands/rights.hpp"
#include "cmd/platform/platforms.hpp"
#include "lib/base/ids.hpp"
#include "lib/base/text.hpp"
#include "lib/config/settings_deploy.hpp"
#include "roles/controller/policy/policy.hpp"
#include "roles/controller/round.hpp"

namespace imgrec {
namespace {

constexpr Millis kDeployCallDeadline{60'000};

// VpcId, where the template has it: from --vpc, or as the stack has it.
Result<std::vector<aws::StackParameter>> parameters_of(const Invocation& call, aws::StackService& service,
                                                       const CallLimits& limits) {
  const bool given = call.has("--vpc");
  if (!aws::needs_vpc(call.config())) {
    if (!given) return std::vector<aws::StackParameter>();
    return fail(ErrorKind::invalid, "no_parameter",
                "--vpc is for subnets (aws.subnets, deploy.web_subnets): here the stack needs no VPC.");
  }
  if (given) return std::vector<aws::StackParameter>{{.name = "VpcId", .value = call.option("--vpc")}};
  const auto stack = service.describe(stack_of(call), limits);
  if (!stack) return fail(stack.error());
  if (aws::next_step(*stack ? std::optional((*stack)->status) : std::nullopt) != aws::StackStep::update) {
    return fail(
        ErrorKind::invalid, "no_vpc",
        "The settings name subnets, and the stack's security groups have to be in their VPC: name it with --vpc "
        "vpc-…, or set neither aws.subnets nor deploy.web_subnets.");
  }
  return std::vector<aws::StackParameter>{{.name = "VpcId", .value = std::nullopt}};
}

Result<std::unique_ptr<ObjectStore>> open_bundle_bucket(const Config& config, aws::Session& session) {
  const auto buckets = aws_buckets(config.aws);
  if (!buckets) return fail(buckets.error());
  aws::S3StoreOptions options = store_options(config.aws);
  options.bucket = buckets->bundle;
  options.setup = aws::BucketSetup::use;
  return aws::open_s3_store(session, options);
}

// Without it the stack would be made and no machine in it could start.
Result<void> check_bundle(const Config& config, aws::Session& session, const CallLimits& limits) {
  const auto store = open_bundle_bucket(config, session);
  if (!store) return fail(store.error());
  const auto found = (*store)->head(ObjectKey(config.aws.bundle_key), limits);
  if (found) return {};
  const std::string name = "s3://" + config.aws.bundle_bucket + "/" + config.aws.bundle_key;
  if (found.error().kind == ErrorKind::not_found) {
    return fail(
        ErrorKind::not_found, "no_bundle",
        "There is no bundle " + json_quote(name) +
            ", which the instances install: `imgrec bundle upload` puts it there, and prints aws.bundle_key and "
            "aws.bundle_sha256.");
  }
  if (found.error().kind != ErrorKind::denied) return fail(found.error());
  complain("Whether the bundle " + name + " is there is not known. " + found.error().message);
  return {};
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
  const auto store = open_bundle_bucket(config, session);
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

void print_costs(const Config& config) {
  const double worker = config.controller.dearest_price();
  if (worker > 0) {
    aws::StackPrices prices{.worker = worker};
    std::string web;
    if (config.deploy.web) {
      prices.web = dollars_per_hour_of(config, 0) + aws::kAddressPrice;
      web = ", beside the web instance with its address (" + number_text(prices.web) + ", deploy.web_price)";
    }
    std::printf(
        "Workers cost, at %s dollars an hour (the dearest of controller.prices)%s, when they run all the time:\n%s",
        number_text(worker).c_str(), web.c_str(),
        as_columns(aws::cost_rows(prices, instance_limit(scaling_rules(config.controller)))).c_str());
  } else {
    std::printf(
        "What the machines cost is not known: set controller.prices, the dollars an hour of each instance type.\n");
  }
  std::printf("Not counted: %sthe machines' volumes, calls of SQS and S3, stored images and results, traffic.\n\n",
              config.deploy.web ? "" : "the machines of web and controller, ");
}

// An undeploy that was interrupted has left a group empty that is never so, which no template says.
Result<void> bring_back(aws::Session& session, const std::string& name, const aws::AsgApi::Size& size,
                        std::stop_token stop) {
  const CallLimits limits(Deadline::in(system_clock(), kDeployCallDeadline), std::move(stop));
  aws::AsgApi groups(session, kDeployCallDeadline);
  const auto group = groups.describe(name, limits);
  if (!group) return fail(group.error());
  if (group->max > 0) return {};
  std::printf("The machines of %s were ended, by an imgrec undeploy that did not go on: they come again.\n",
              printable(name).c_str());
  return groups.set_size(name, size, limits);
}

Result<void> bring_groups_back(const Config& config, aws::Session& session, const std::stop_token& stop) {
  if (config.deploy.web) {
    const aws::AsgApi::Size one = {.min = 1, .max = 1, .desired = 1};
    if (auto back = bring_back(session, aws::stack_name_of(config, "web"), one, stop); !back) return back;
  }
  if (!config.deploy.alarms) return {};
  const int least = std::max(1, config.controller.min);
  return bring_back(session, config.aws.auto_scaling_group,
                    {.min = least, .max = instance_limit(scaling_rules(config.controller)), .desired = least}, stop);
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
  print_address(outcome.outputs);
  return kExitOk;
}

// One run of the command: what its steps share.
class Deploying {
 public:
  Deploying(const Invocation& call, aws::Session& session, std::stop_token stop)
      : call_(call),
        session_(session),
        service_(session),
        stack_(stack_of(call)),
        stop_(std::move(stop)),
        talk_(deploy_talk(call.has("--yes"), stop_)) {}

  Result<int> run() {
    if (!call_.has("--skip-rights-check")) {
      const StackToChange stack = {.name = stack_, .role = call_.option("--role")};
      if (auto allowed = require_rights(session_, call_.config(), service_, stack, limits()); !allowed) {
        return fail(allowed.error());
      }
    }
    if (auto there = check_bundle(call_.config(), session_, limits()); !there) return fail(there.error());
    return call_.has("--prebaked") ? with_image() : deploy_and_tell(call_.config());
  }

 private:
  CallLimits limits() const { return {Deadline::in(system_clock(), aws::DeployLimits().call), stop_}; }

  Result<aws::DeployOutcome> deploy(const Config& config) {
    const auto text = stack_template(config, session_);
    if (!text) return fail(text.error());
    aws::DeployRequest request{.change = {.stack = stack_,
                                          .name = std::string(aws::kChangeSetPrefix) + random_hex(system_rng(), 8),
                                          .template_text = {},
                                          .parameters = {},
                                          // Not the tag of workers: stacks give theirs to the machines of a group too.
                                          .tags = {{"imgrec:stack", config.aws.fleet}},
                                          .description = {},
                                          .role = call_.option("--role")},
                               .self = this_process(),
                               .is_running = is_running,
                               .take_over = call_.has("--take-over"),
                               .only_show = call_.has("--dry-run")};
    if (auto placed = place_template(config, session_, *text, limits(), request.change); !placed) {
      return fail(placed.error());
    }
    auto parameters = parameters_of(call_, service_, limits());
    if (!parameters) return fail(parameters.error());
    request.change.parameters = *std::move(parameters);
    return aws::deploy_stack(service_, request, talk_, system_clock(), stop_);
  }

  Result<int> deploy_and_tell(const Config& config) {
    const auto outcome = deploy(config);
    if (!outcome) return fail(outcome.error());
    if (outcome->end == aws::DeployEnd::shown ||
        (call_.has("--dry-run") && outcome->end == aws::DeployEnd::unchanged)) {
      print_costs(config);
    }
    if (!call_.has("--dry-run") &&
        (outcome->end == aws::DeployEnd::changed || outcome->end == aws::DeployEnd::unchanged)) {
      if (auto back = bring_groups_back(config, session_, stop_); !back) return fail(back.error());
    }
    return finish(*outcome, stack_);
  }

  // The image is made with the stack's own profile and security group: where there is no stack yet, it comes first.
  Result<int> with_image() {
    Config config = call_.config();
    const auto images = open_images(config, session_);
    auto image = existing_image(*images, config, session_, limits());
    if (!image) return fail(image.error());
    if (!*image && call_.has("--dry-run")) {
      talk_.say(
          "There is no image of these settings: one would be made, and the workers' launch template be pointed at "
          "it. Besides that:");
      return deploy_and_tell(config);
    }
    if (!*image) {
      auto stack = stack_at_rest(config);
      if (!stack) return fail(stack.error());
      if (!*stack) return kExitItemFailed;
      auto made = build(config, *images, **stack);
      if (!made) return fail(made.error());
      if (!*made) return kExitItemFailed;
      *image = **made;
    }
    config.aws.prebaked_image = **image;
    talk_.say("Workers start from the image " + **image + ".");
    const auto code = deploy_and_tell(config);
    if (!code || *code != kExitOk || call_.has("--dry-run")) return code;
    const auto pruned = aws::prune_images(*images, **image, kImagesKept, talk_.say, limits());
    if (!pruned) return fail(pruned.error());
    std::printf(
        "\n# For [aws] in the settings, so that the next imgrec deploy, and a controller with them, keep it:\n"
        "prebaked_image = \"%s\"\n",
        (*image)->c_str());
    return kExitOk;
  }

  // Nothing: the stack was not made, which was told.
  Result<std::optional<aws::Stack>> stack_at_rest(const Config& config) {
    auto stack = service_.describe(stack_, limits());
    if (!stack) return fail(stack.error());
    if (*stack && aws::next_step((*stack)->status) == aws::StackStep::update) return stack;
    const auto code = deploy_and_tell(config);
    if (!code) return fail(code.error());
    if (*code != kExitOk) return std::nullopt;
    return service_.describe(stack_, limits());
  }

  // Nothing: the answer was no.
  Result<std::optional<std::string>> build(const Config& config, aws::ImageService& images, const aws::Stack& stack) {
    auto task = image_task(config, session_, service_, stack, limits());
    if (!task) return fail(task.error());
    task->holder.take_over = call_.has("--take-over");
    const auto consent = talk_.confirm("Make an image of the workers' machine? That launches one " +
                                       task->builder.instance_type + " for some minutes.");
    if (!consent) return fail(consent.error());
    if (!*consent) {
      std::printf("No image was made.\n");
      return std::nullopt;
    }
    auto made =
        aws::make_image(images, *task, talk_.say, [] { return random_hex(system_rng(), 32); }, system_clock(), stop_);
    if (!made) return fail(made.error());
    return *std::move(made);
  }

  const Invocation& call_;
  aws::Session& session_;
  aws::CloudFormation service_;
  const std::string stack_;
  const std::stop_token stop_;
  const aws::DeployTalk talk_;
};

// Else CloudFormation would say so, after the rights and the bundle were looked at.
Result<void> check_role(const std::string& role) {
  if (role.starts_with("arn:") && role.find(":iam::") != role.npos && role.find(":role/") != role.npos) return {};
  return fail(ErrorKind::invalid, "no_role",
              json_quote(role) +
                  " is not the ARN of a role: --role takes one such as arn:aws:iam::123456789012:role/imgrec-stack.");
}

Result<void> check_stack_name(const std::string& name) {
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const auto is_allowed = [&](char c) { return is_letter(c) || (c >= '0' && c <= '9') || c == '-'; };
  if (!name.empty() && name.size() <= 128 && is_letter(name.front()) && std::ranges::all_of(name, is_allowed))
    return {};
  return fail(ErrorKind::invalid, "bad_stack_name",
              "A CloudFormation stack cannot be called " + json_quote(name) +
                  ": give it a name of letters, digits and hyphens with a letter first (--stack; else as aws.fleet).");
}

int run_deploy(const Invocation& call) {
  auto session = open_aws_session(call.config(), system_clock(), system_rng());
  if (!session) return report(session.error());
  if (auto checked = check_stack_name(stack_of(call)); !checked) return report(checked.error());
  if (call.has("--role")) {
    if (auto checked = check_role(call.option("--role")); !checked) return report(checked.error());
  }
  // What is wrong with the settings is said before anything is asked.
  if (const auto text = stack_template(call.config(), **session); !text) return report(text.error());
  Interrupts interrupts;
  const auto code = Deploying(call, **session, interrupts.token()).run();
  return code ? *code : report(code.error());
}

}  // namespace

Command deploy_command() {
  return {
      .name = "deploy",
      .summary = "Make or change the CloudFormation stack of the service on AWS: shows the changes, asks, and waits",
      .settings = kConfigCommand,
      .examples = {{"imgrec deploy --config aws.toml", "shows what would change, asks, and follows it to its end"},
                   {"imgrec deploy --config aws.toml --dry-run",
                    "what would change, and what a month costs; changes nothing"},
                   {"imgrec deploy --config aws.toml --prebaked",
                    "workers start from an image with the bundle in it, without a download"}},
      .options = {{"--stack", "NAME", "the stack's name (as aws.fleet: imgrec)"},
                  {"--yes", "", "do not ask"},
                  {"--dry-run", "", "show the changes and what a month costs; change nothing"},
                  {"--prebaked", "",
                   "make an image with the bundle in it, where there is none, and point workers at it"},
                  {"--role", "ARN", "what CloudFormation acts as (configs/iam/stack.json), now and later; else as you"},
                  {"--vpc", "ID", "the VPC of the settings' subnets, when the stack is made"},
                  {"--skip-rights-check", "",
                   "do not ask IAM whether all rights are there (imgrec doctor --for deployer)"},
                  {"--take-over", "",
                   "remove the change set, or end the builder, of another imgrec deploy that is at it no more"}},
      .notes =
          "imgrec deploy status shows what there is, imgrec deploy logs why a machine does not start, imgrec deploy\n"
          "template what is in the stack and which settings it needs; imgrec undeploy removes it.\n"
          "It begins with the rights, of the caller and of what CloudFormation acts as, by IAM's policy simulator,\n"
          "and with the bundle, which has to be in its bucket.\n"
          "Interrupted at any point, run it again: it follows what CloudFormation does meanwhile, and goes on. A\n"
          "template of more than 51200 bytes, as with many tags, is put into aws.bundle_bucket for CloudFormation.\n"
          "--prebaked launches one machine, which installs the bundle and stops, makes an image of it, ends it, and\n"
          "keeps the last two images. It exits with 1 when the change failed, whose first cause it prints, or when\n"
          "the answer is no; with 3 when another imgrec deploy is at it.",
      .run = run_deploy};
}

}  // namespace imgrec
