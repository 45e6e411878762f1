#include "cmd/commands/prebaking.hpp"

#include <algorithm>

#include "aws/deploy/ec2_images.hpp"
#include "aws/deploy/template_policies.hpp"
#include "cmd/commands/deploying.hpp"
#include "cmd/platform/platforms.hpp"
#include "cmd/platform/user_data.hpp"
#include "lib/base/digest.hpp"
#include "lib/config/settings_aws.hpp"

namespace imgrec {
namespace {

constexpr std::size_t kRecipeDigits = 16;

// What makes one image differ from another: what it is made of, and what is done with that.
std::string recipe_of(const Config& config, const std::string& user_data) {
  return sha256_hex(config.aws.image_id + "\n" + user_data).substr(0, kRecipeDigits);
}

// EC2 takes letters, digits and ()[] ./-'@_ in an image's name.
std::string image_name(const Config& config, const std::string& recipe) {
  std::string out = config.aws.fleet + "-worker-" + recipe;
  std::ranges::replace_if(out, [](char c) { return c == '+' || c == '=' || c == ','; }, '-');
  return out;
}

Result<std::vector<std::string>> security_groups(const Config& config, aws::CloudFormation& service,
                                                 const aws::Stack& stack, const CallLimits& limits) {
  auto named = list_of(config.aws.security_groups);
  if (!named.empty()) return named;
  const auto resources = service.resources(stack, limits);
  if (!resources) return fail(resources.error());
  for (const aws::StackResource& one : *resources) {
    if (one.name == "WorkerSecurityGroup") named.push_back(one.id);
  }
  return named;
}

}  // namespace

Result<aws::ImageTask> image_task(const Config& config, aws::Session& session, aws::CloudFormation& service,
                                  const aws::Stack& stack, const CallLimits& limits) {
  const AwsConfig& aws = config.aws;
  auto user_data = builder_user_data(config, session.endpoints());
  if (!user_data) return fail(user_data.error());
  auto groups = security_groups(config, service, stack, limits);
  if (!groups) return fail(groups.error());
  const auto types = list_of(aws.instance_types), subnets = list_of(aws.subnets);
  const std::string recipe = recipe_of(config, *user_data);
  return aws::ImageTask{.builder = {.base_image = aws.image_id,
                                    .instance_type = types.empty() ? "" : types.front(),
                                    .subnet = subnets.empty() ? "" : subnets.front(),
                                    .security_groups = *std::move(groups),
                                    .instance_profile = aws::stack_name_of(config, "worker"),
                                    .user_data = *std::move(user_data),
                                    .recipe = recipe,
                                    .holder = {},
                                    .token = {}},
                        .image_name = image_name(config, recipe),
                        .description = "Workers of imgrec: " + aws.bundle_key + " on " + aws.image_id,
                        .holder = {.self = this_process(), .is_running = is_running, .take_over = false}};
}

Result<std::optional<std::string>> existing_image(aws::ImageService& images, const Config& config,
                                                  const aws::Session& session, const CallLimits& limits) {
  const auto user_data = builder_user_data(config, session.endpoints());
  if (!user_data) return fail(user_data.error());
  const auto found = images.images(limits);
  if (!found) return fail(found.error());
  const auto next = aws::next_image_step(*found, {}, recipe_of(config, *user_data), {});
  return next.step == aws::ImageStep::use ? std::optional(next.image->id) : std::nullopt;
}

std::vector<std::string> describe_builders(std::span<const aws::Builder> builders) {
  std::vector<std::string> out;
  for (const aws::Builder& one : builders) {
    if (aws::is_over(one)) continue;
    const std::string begin = "The machine " + one.id.str() + " is there to make an image, and is " + one.state + ". ";
    const auto holder = aws::parse_holder(one.holder);
    const bool is_here = holder && holder->host == this_process().host;
    if (is_here && is_running(holder->process)) {
      out.push_back(begin + "Process " + std::to_string(holder->process) + " of this machine sees to it.");
      continue;
    }
    out.push_back(begin + "It was launched by \"" + one.holder + "\"" +
                  (is_here ? ", which has ended." : "; if that has ended, nobody sees to it.") +
                  " It costs money until `imgrec deploy --prebaked` goes on with it or ends it, or `imgrec undeploy` "
                  "ends it.");
  }
  return out;
}

std::unique_ptr<aws::ImageService> open_images(const Config& config, aws::Session& session) {
  return std::make_unique<aws::Ec2Images>(session, config.aws.fleet, tags_of(config.aws));
}

}  // namespace imgrec
