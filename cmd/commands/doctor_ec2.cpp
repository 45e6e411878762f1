#include "cmd/commands/doctor_ec2.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "aws/client/protocols.hpp"
#include "aws/client/wire/xml.hpp"
#include "cmd/platform/platforms.hpp"
#include "lib/config/settings_aws.hpp"

namespace imgrec {
namespace {

constexpr Millis kCallDeadline{20'000};

class Ec2Doctor {
 public:
  Ec2Doctor(const Config& config, aws::Session& session, std::vector<Check>& checks)
      : config_(config), aws_(config.aws), session_(session), checks_(checks) {}

  void run() {
    const auto options = ec2_fleet_options(config_, session_.endpoints());
    if (!options) return checks_.push_back(call_failed("instances", options.error(), "See [aws] in configs/aws.toml."));
    check_image();
    check_things("subnets", "DescribeSubnets", "SubnetId", list_of(aws_.subnets), "subnetSet", "aws.subnets");
    check_things("security groups", "DescribeSecurityGroups", "GroupId", list_of(aws_.security_groups),
                 "securityGroupInfo", "aws.security_groups");
    check_things("key pair", "DescribeKeyPairs", "KeyName", list_of(aws_.key_name), "keySet", "aws.key_name");
    const bool is_id = aws_.launch_template.starts_with("lt-");
    check_things("launch template", "DescribeLaunchTemplates", is_id ? "LaunchTemplateId" : "LaunchTemplateName",
                 list_of(aws_.launch_template), "launchTemplates", "aws.launch_template");
    check_profile();
    check_quota(vcpus_of_largest_type());
    const auto allowed = aws::check_ec2_launch(session_, *options);
    checks_.push_back(
        allowed ? passed("launch", "allowed (dry run)")
                : call_failed("launch", allowed.error(),
                              "Give the controller the rights of configs/iam/controller.json, iam:PassRole for the "
                              "workers' role among them; correct the setting that the message names."));
  }

 private:
  Result<aws::XmlElement> ask(const char* operation, const aws::QueryPairs& parameters) {
    const auto answer =
        session_.query({"ec2", operation}, parameters, Deadline::in(session_.clock(), kCallDeadline), {});
    if (!answer) return fail(answer.error().error);
    return aws::parse_xml(answer->body);
  }

  // Denied is no failure of the service: the controller itself need not describe these.
  void not_asked_or_failed(const std::string& name, const Error& error, const std::string& fix) {
    if (error.kind != ErrorKind::denied) return checks_.push_back(call_failed(name, error, fix));
    checks_.push_back({.name = name,
                       .status = CheckStatus::skipped,
                       .detail = error.message,
                       .fix = "To have it checked: the rights of configs/iam/deployer.json."});
  }

  void check_things(const std::string& name, const char* operation, const char* parameter,
                    const std::vector<std::string>& wanted, const char* set, const std::string& setting) {
    if (wanted.empty()) return;
    aws::QueryPairs parameters;
    aws::append_list(parameters, parameter, wanted);
    const auto answer = ask(operation, parameters);
    if (!answer) return not_asked_or_failed(name, answer.error(), "Correct " + setting + ".");
    const auto* found = answer->child(set);
    const std::size_t count = found == nullptr ? 0 : found->all("item").size();
    if (count < wanted.size()) {
      return checks_.push_back(
          call_failed(name,
                      {ErrorKind::not_found, "not_found",
                       std::to_string(count) + " of " + std::to_string(wanted.size()) + " are there."},
                      "Correct " + setting + "."));
    }
    checks_.push_back(passed(name, std::to_string(count) + (count == 1 ? " is there" : " are there")));
  }

  void check_image() {
    if (aws_.image_id.empty()) return;
    const std::string name = "image " + aws_.image_id;
    const std::string fix =
        "Correct aws.image_id: a Debian 12 of this region (https://wiki.debian.org/Cloud/AmazonEC2Image/Bookworm).";
    const auto answer = ask("DescribeImages", {{"ImageId.1", aws_.image_id}});
    if (!answer) return not_asked_or_failed(name, answer.error(), fix);
    const auto* image = answer->at({"imagesSet", "item"});
    if (image == nullptr) {
      return checks_.push_back(
          call_failed(name, {ErrorKind::not_found, "no_such_image", "It is not in " + session_.region() + "."}, fix));
    }
    if (const std::string state = image->value("imageState"); state != "available") {
      return checks_.push_back(
          call_failed(name, {ErrorKind::invalid, "image_unusable", "Its state is " + state + "."}, fix));
    }
    const std::string architecture = image->value("architecture");
    const bool is_arm = architecture == "arm64";
    const bool wants_arm = aws_.bundle_key.find("aarch64") != std::string::npos;
    if (!aws_.bundle_key.empty() && is_arm != wants_arm) {
      return checks_.push_back(
          call_failed(name,
                      {ErrorKind::invalid, "other_architecture",
                       "It is for " + architecture + ", and the bundle is for another architecture."},
                      "Choose an image, types and a bundle of one architecture."));
    }
    checks_.push_back(passed(name, architecture + ", " + image->value("name")));
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
    const auto answer = session_.query({"iam", "GetInstanceProfile"}, {{"InstanceProfileName", name}},
                                       Deadline::in(session_.clock(), kCallDeadline), {});
    const std::string fix =
        "Correct aws.instance_profile: the name or ARN of an instance profile whose role has configs/iam/worker.json.";
    if (!answer) return not_asked_or_failed("instance profile", answer.error().error, fix);
    const auto document = aws::parse_xml(answer->body);
    const auto* roles = document ? document->at({"GetInstanceProfileResult", "InstanceProfile", "Roles"}) : nullptr;
    if (roles == nullptr || roles->children.empty()) {
      return checks_.push_back(
          call_failed("instance profile", {ErrorKind::invalid, "no_role", name + " has no role."}, fix));
    }
    checks_.push_back(passed("instance profile", name + ", role " + roles->children.front().value("RoleName")));
  }

  /// Nothing when no type is set, or they cannot be asked.
  std::optional<int> vcpus_of_largest_type() {
    const auto types = list_of(aws_.instance_types);
    if (types.empty()) return std::nullopt;
    aws::QueryPairs parameters;
    aws::append_list(parameters, "InstanceType", types);
    const auto answer = ask("DescribeInstanceTypes", parameters);
    if (!answer) {
      not_asked_or_failed("instance types", answer.error(), "Correct aws.instance_types: such as c7i.large,c7a.large.");
      return std::nullopt;
    }
    int most = 0;
    const auto* set = answer->child("instanceTypeSet");
    for (const auto* type : set == nullptr ? std::vector<const aws::XmlElement*>() : set->all("item")) {
      const auto* cpus = type->at({"vCpuInfo", "defaultVCpus"});
      if (cpus != nullptr) most = std::max(most, std::atoi(cpus->text.c_str()));
    }
    if (most == 0) return std::nullopt;
    checks_.push_back(passed("instance types", aws_.instance_types + ": up to " + std::to_string(most) + " vCPUs"));
    return most;
  }

  // https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-quotas.html: vCPUs of A, C, D, H, I, M, R, T and Z
  // instances count together.
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
    auto endpoint = aws::endpoint_for(session_.endpoints(), "servicequotas");
    if (!endpoint) return skipped(endpoint.error().message);
    const nlohmann::json body = {{"ServiceCode", "ec2"}, {"QuotaCode", aws_.spot ? "L-34B43A08" : "L-1216C47A"}};
    auto request = aws::json_call({"servicequotas", "GetServiceQuota"}, *std::move(endpoint), "ServiceQuotasV20190624",
                                  body.dump());
    for (auto& [name, value] : request.headers) {
      if (value == "application/x-amz-json-1.0") value = "application/x-amz-json-1.1";
    }
    const auto answer =
        session_.caller("servicequotas").call(request, Deadline::in(session_.clock(), kCallDeadline), {});
    if (!answer) return skipped("It could not be asked. " + answer.error().error.message);
    const auto document = nlohmann::json::parse(answer->body, nullptr, false);
    const auto pointer = nlohmann::json::json_pointer("/Quota/Value");
    if (document.is_discarded() || !document.contains(pointer) || !document.at(pointer).is_number()) {
      return skipped("The answer of Service Quotas has no value.");
    }
    const double quota = document.at(pointer).get<double>();
    const std::string found = std::to_string(needed) + " vCPUs for " + std::to_string(config_.controller.max) +
                              " instances, of " + std::to_string(static_cast<long>(quota)) + " allowed";
    if (needed <= quota) return checks_.push_back(passed("vCPU quota", found));
    checks_.push_back(call_failed("vCPU quota", {ErrorKind::invalid, "quota", found + "."},
                                  "Ask for a higher quota (Service Quotas, Amazon EC2), or lower --max-workers."));
  }

  const Config& config_;
  const AwsConfig& aws_;
  aws::Session& session_;
  std::vector<Check>& checks_;
};

}  // namespace

void check_ec2(const Config& config, aws::Session& session, std::vector<Check>& checks) {
  Ec2Doctor(config, session, checks).run();
}

}  // namespace imgrec
