#include "cmd/commands/doctor_ec2.hpp"

#include <algorithm>
#include <optional>

#include "aws/adapters/asg_api.hpp"
#include "aws/inspect/ec2.hpp"
#include "cmd/platform/architecture.hpp"
#include "cmd/platform/platforms.hpp"
#include "lib/config/settings_aws.hpp"

namespace imgrec {
namespace {

constexpr Millis kEc2CheckDeadline{20'000};

class Ec2Doctor {
 public:
  Ec2Doctor(const Config& config, aws::Session& session, std::vector<Check>& checks)
      : config_(config), aws_(config.aws), session_(session), checks_(checks) {}

  void run() {
    const auto options = ec2_fleet_options(config_, session_.endpoints());
    if (!options) return checks_.push_back(call_failed("instances", options.error(), "See [aws] in configs/aws.toml."));
    check_image(aws_.image_id,
                "Correct aws.image_id: a Debian 12 of this region "
                "(https://wiki.debian.org/Cloud/AmazonEC2Image/Bookworm).");
    check_image(aws_.prebaked_image, "`imgrec deploy --prebaked` makes one and prints aws.prebaked_image.");
    check_things("subnets", aws::Ec2Thing::subnet, list_of(aws_.subnets), "aws.subnets");
    check_things("security groups", aws::Ec2Thing::security_group, list_of(aws_.security_groups),
                 "aws.security_groups");
    check_things("key pair", aws::Ec2Thing::key_pair, list_of(aws_.key_name), "aws.key_name");
    check_things("launch template", aws::Ec2Thing::launch_template, list_of(aws_.launch_template),
                 "aws.launch_template");
    check_profile();
    check_quota(vcpus_of_largest_type());
    const auto allowed = aws::check_ec2_launch(session_, *options);
    checks_.push_back(
        allowed ? passed("launch", "allowed (dry run)")
                : call_failed("launch", allowed.error(),
                              allowed.error().kind == ErrorKind::denied
                                  ? "Give the controller the rights of configs/iam/controller.json, iam:PassRole for "
                                    "the workers' role among them."
                                  : "Set or correct in [aws] what the message names; configs/aws.toml explains each."));
  }

 private:
  CallLimits limits() const { return Deadline::in(session_.clock(), kEc2CheckDeadline); }

  // Denied is no failure of the service: the controller itself need not describe these.
  void not_asked_or_failed(const std::string& name, const Error& error, const std::string& fix) {
    if (error.kind != ErrorKind::denied) return checks_.push_back(call_failed(name, error, fix));
    checks_.push_back({.name = name,
                       .status = CheckStatus::skipped,
                       .detail = error.message,
                       .fix = "To have it checked: the rights of configs/iam/deployer.json."});
  }

  void check_things(const std::string& name, aws::Ec2Thing thing, const std::vector<std::string>& wanted,
                    const std::string& setting) {
    if (wanted.empty()) return;
    const auto count = aws::count_existing(session_, thing, wanted, limits());
    if (!count) return not_asked_or_failed(name, count.error(), "Correct " + setting + ".");
    if (*count < wanted.size()) {
      return checks_.push_back(
          call_failed(name,
                      {ErrorKind::not_found, "not_found",
                       std::to_string(*count) + " of " + std::to_string(wanted.size()) + " are there."},
                      "Correct " + setting + "."));
    }
    checks_.push_back(passed(name, std::to_string(*count) + (*count == 1 ? " is there" : " are there")));
  }

  void check_image(const std::string& id, const std::string& fix) {
    if (id.empty()) return;
    const std::string name = "image " + id;
    const auto image = aws::describe_image(session_, id, limits());
    if (!image) return not_asked_or_failed(name, image.error(), fix);
    if (image->state != "available") {
      return checks_.push_back(
          call_failed(name, {ErrorKind::invalid, "image_unusable", "Its state is " + image->state + "."}, fix));
    }
    const std::string& architecture = image->architecture;
    const bool is_arm = architecture == "arm64";
    const bool wants_arm = aws_.bundle_key.find("aarch64") != std::string::npos;
    if (!aws_.bundle_key.empty() && is_arm != wants_arm) {
      return checks_.push_back(
          call_failed(name,
                      {ErrorKind::invalid, "other_architecture",
                       "It is for " + architecture + ", and the bundle is for another architecture."},
                      "Choose an image, types and a bundle of one architecture."));
    }
    checks_.push_back(passed(name, architecture + ", " + image->name));
  }

  void check_profile() {
    if (aws_.instance_profile.empty()) {
      if (!aws_.launch_template.empty()) return;  // the template's
      return checks_.push_back(
          {.name = "instance profile",
           .status = CheckStatus::failed,
           .detail = "aws.instance_profile is not set: workers would have no credentials.",
           .fix = "Make a role with configs/iam/worker.json and an instance profile of it, and name that."});
    }
    const std::string name = aws_.instance_profile.substr(aws_.instance_profile.rfind('/') + 1);
    const std::string fix =
        "Correct aws.instance_profile: the name or ARN of an instance profile whose role has configs/iam/worker.json.";
    const auto role = aws::role_of_profile(session_, name, limits());
    if (!role) return not_asked_or_failed("instance profile", role.error(), fix);
    checks_.push_back(passed("instance profile", name + ", role " + *role));
  }

  /// Nothing when no type is set, or they cannot be asked.
  std::optional<int> vcpus_of_largest_type() {
    const auto types = list_of(aws_.instance_types);
    if (types.empty()) return std::nullopt;
    const auto most = aws::most_vcpus(session_, types, limits());
    if (!most) {
      not_asked_or_failed("instance types", most.error(), "Correct aws.instance_types: such as c7i.large,c7a.large.");
      return std::nullopt;
    }
    if (const auto fitting = check_architecture(config_); !fitting) {
      checks_.push_back(
          call_failed("instance types", fitting.error(), "Choose an image, types and a bundle of one architecture."));
      return *most;
    }
    checks_.push_back(passed("instance types", aws_.instance_types + ": up to " + std::to_string(*most) + " vCPUs"));
    return *most;
  }

  // Other families than those of aws::vcpu_quota() have quotas of their own.
  void check_quota(std::optional<int> vcpus) {
    if (!vcpus) return;
    const bool is_standard = std::ranges::all_of(list_of(aws_.instance_types), [](const std::string& type) {
      return std::string_view("acdhimrtz").find(type.front()) != std::string_view::npos;
    });
    const int needed = *vcpus * config_.controller.max;
    const auto skipped = [&](const std::string& why) {
      checks_.push_back(
          {.name = "vCPU quota",
           .status = CheckStatus::skipped,
           .detail = why,
           .fix = "See that it allows " + std::to_string(needed) + " vCPUs: Service Quotas, Amazon EC2."});
    };
    if (!is_standard) return skipped("These types have a quota of their own kind.");
    const auto quota = aws::vcpu_quota(session_, aws_.spot, limits());
    if (!quota) return skipped("It could not be asked. " + quota.error().message);
    const std::string found = std::to_string(needed) + " vCPUs for " + std::to_string(config_.controller.max) +
                              " instances, of " + std::to_string(static_cast<long>(*quota)) + " allowed";
    if (needed <= *quota) return checks_.push_back(passed("vCPU quota", found));
    checks_.push_back(call_failed("vCPU quota", {ErrorKind::invalid, "quota", found + "."},
                                  "Ask for a higher quota (Service Quotas, Amazon EC2), or lower --max-workers."));
  }

  const Config& config_;
  const AwsConfig& aws_;
  aws::Session& session_;
  std::vector<Check>& checks_;
};

// What the controller needs of a group that it sizes.
void check_group(const Config& config, aws::Session& session, std::vector<Check>& checks) {
  const std::string& name = config.aws.auto_scaling_group;
  if (name.empty()) {
    return checks.push_back({.name = "Auto Scaling group",
                             .status = CheckStatus::failed,
                             .detail = "aws.fleet_kind is asg, and aws.auto_scaling_group names none.",
                             .fix = "Name the group that the controller is to size."});
  }
  const std::string title = "Auto Scaling group " + name;
  const auto group =
      aws::AsgApi(session, kEc2CheckDeadline).describe(name, Deadline::in(session.clock(), kEc2CheckDeadline));
  if (!group) {
    return checks.push_back(call_failed(title, group.error(),
                                        "Make the group, or correct aws.auto_scaling_group; its right is "
                                        "autoscaling:DescribeAutoScalingGroups (configs/iam)."));
  }
  const auto wrong = [&](const std::string& what, CheckStatus status, std::string detail, std::string options) {
    checks.push_back({.name = title + ", " + what,
                      .status = status,
                      .detail = std::move(detail),
                      .fix = "aws autoscaling " + std::move(options) + " --auto-scaling-group-name " + name});
  };
  const std::size_t before = checks.size();
  const bool has_alarms = config.deploy.alarms;  // which size it: it keeps a machine, and ends those that are too many
  if (!has_alarms && group->min > config.controller.min) {
    wrong("minimum", CheckStatus::failed,
          "Its minimum is " + std::to_string(group->min) + ", and controller.min is " +
              std::to_string(config.controller.min) + ": the group refuses ends below its own.",
          "update-auto-scaling-group --min-size " + std::to_string(config.controller.min));
  }
  if (group->max < config.controller.max) {
    wrong("maximum", CheckStatus::warning,
          "Its maximum is " + std::to_string(group->max) + ", less than controller.max (" +
              std::to_string(config.controller.max) + ").",
          "update-auto-scaling-group --max-size " + std::to_string(config.controller.max));
  }
  if (!has_alarms && !group->protects_new) {
    wrong("protection", CheckStatus::failed, "It does not protect new instances from scale-in: it may end busy ones.",
          "update-auto-scaling-group --new-instances-protected-from-scale-in");
  }
  for (const std::string& process : group->suspended) {
    if (process != "Launch" && process != "Terminate") continue;
    wrong("process " + process, CheckStatus::failed, "Its process " + process + " is suspended.",
          "resume-processes --scaling-processes " + process);
  }
  if (checks.size() > before) return;
  checks.push_back(passed(title, std::to_string(group->instances.size()) + " instances, from " +
                                     std::to_string(group->min) + " to " + std::to_string(group->max)));
}

}  // namespace

void check_ec2(const Config& config, aws::Session& session, std::vector<Check>& checks) {
  if (config.aws.fleet_kind == "asg") return check_group(config, session, checks);
  Ec2Doctor(config, session, checks).run();
}

}  // namespace imgrec
