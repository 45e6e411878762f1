// imgrec deploy template
#include <cstdio>

#include "aws/deploy/template.hpp"
#include "cmd/cli/exit_code.hpp"
#include "cmd/commands/commands.hpp"
#include "cmd/platform/platforms.hpp"
#include "cmd/platform/user_data.hpp"

namespace imgrec {
namespace {

int run_deploy_template(const Invocation& call) {
  const Config& config = call.config();
  const auto buckets = aws_buckets(config.aws);
  if (!buckets) return report(buckets.error());
  auto session = open_aws_session(config, system_clock(), system_rng());
  if (!session) return report(session.error());
  const auto user_data = worker_user_data(config, (*session)->endpoints());
  if (!user_data) return report(user_data.error());
  const auto text = aws::render_template(config, {.input_bucket = buckets->input,
                                                  .output_bucket = buckets->output,
                                                  .bundle_bucket = buckets->bundle,
                                                  .worker_user_data = *user_data});
  if (!text) return report(text.error());
  std::fwrite(text->data(), 1, text->size(), stdout);
  return kExitOk;
}

}  // namespace

Command deploy_template_command() {
  return {
      .name = "deploy template",
      .summary = "Print a CloudFormation template of the queues, buckets, roles and the workers' launch template",
      .settings = kConfigCommand,
      .examples = {{"imgrec deploy template --config aws.toml > stack.json",
                    "for aws cloudformation deploy --template-file stack.json"}},
      .notes =
          "It needs aws.input_bucket, aws.image_id, aws.instance_types, and a bundle that is in a bucket of its own\n"
          "(aws.bundle_bucket; imgrec bundle upload). Where aws.subnets is set and aws.security_groups is not, the "
          "stack\n"
          "has the parameter VpcId. Nothing is called, and no secret is in it.",
      .run = run_deploy_template};
}

}  // namespace imgrec
