#include "aws/inspect/ec2.hpp"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "aws/adapters/ec2_api.hpp"
#include "aws/adapters/ec2_launch.hpp"
#include "aws/client/protocols.hpp"
#include "aws/client/wire/xml.hpp"

namespace imgrec::aws {
namespace {

Result<XmlElement> ask(Session& session, CallName name, const QueryPairs& parameters, const CallLimits& limits) {
  const auto answer = session.query(std::move(name), parameters, limits.deadline, limits.stop);
  if (!answer) return fail(answer.error().error);
  return parse_xml(answer->body);
}

struct Description {
  const char *operation, *parameter, *set;
};

Description description_of(Ec2Thing thing, bool is_id) {
  switch (thing) {
    case Ec2Thing::subnet: return {"DescribeSubnets", "SubnetId", "subnetSet"};
    case Ec2Thing::security_group: return {"DescribeSecurityGroups", "GroupId", "securityGroupInfo"};
    case Ec2Thing::key_pair: return {"DescribeKeyPairs", "KeyName", "keySet"};
    case Ec2Thing::launch_template: break;
  }
  return {"DescribeLaunchTemplates", is_id ? "LaunchTemplateId" : "LaunchTemplateName", "launchTemplates"};
}

}  // namespace

Result<void> check_ec2_launch(Session& session, const Ec2FleetOptions& options) {
  if (auto checked = check_options(options); !checked) return fail(checked.error());
  QueryPairs parameters = run_parameters(
      options, pools_of(options).front(),
      {.token = LaunchToken(random_hex(session.rng(), 16)), .numbers = {1}, .at = session.clock().wall_now()});
  parameters.emplace_back("DryRun", "true");
  const auto ran = Ec2Api(session, options.call_deadline).run(parameters, {});
  // "If you have the required permissions, the error response is DryRunOperation."
  if (ran || ran.error().aws_code == "DryRunOperation") return {};
  return fail(ran.error().error);
}

Result<ImageInfo> describe_image(Session& session, const std::string& image_id, const CallLimits& limits) {
  const auto answer = ask(session, {"ec2", "DescribeImages"}, {{"ImageId.1", image_id}}, limits);
  if (!answer) return fail(answer.error());
  const XmlElement* image = answer->at({"imagesSet", "item"});
  if (image == nullptr) {
    return fail(ErrorKind::not_found, "no_such_image",
                "The image " + image_id + " is not in " + session.region() + ".");
  }
  return ImageInfo{
      .state = image->value("imageState"), .architecture = image->value("architecture"), .name = image->value("name")};
}

Result<std::size_t> count_existing(Session& session, Ec2Thing thing, const std::vector<std::string>& names,
                                   const CallLimits& limits) {
  const bool is_id = !names.empty() && names.front().starts_with("lt-");
  const Description description = description_of(thing, is_id);
  QueryPairs parameters;
  append_list(parameters, description.parameter, names);
  const auto answer = ask(session, {"ec2", description.operation}, parameters, limits);
  if (!answer) return fail(answer.error());
  const XmlElement* found = answer->child(description.set);
  return found == nullptr ? 0 : found->all("item").size();
}

Result<int> most_vcpus(Session& session, const std::vector<std::string>& types, const CallLimits& limits) {
  QueryPairs parameters;
  append_list(parameters, "InstanceType", types);
  const auto answer = ask(session, {"ec2", "DescribeInstanceTypes"}, parameters, limits);
  if (!answer) return fail(answer.error());
  int most = 0;
  if (const XmlElement* set = answer->child("instanceTypeSet")) {
    for (const XmlElement* type : set->all("item")) {
      const XmlElement* cpus = type->at({"vCpuInfo", "defaultVCpus"});
      if (cpus == nullptr) continue;
      int count = 0;
      std::from_chars(cpus->text.data(), cpus->text.data() + cpus->text.size(), count);
      most = std::max(most, count);
    }
  }
  if (most > 0) return most;
  return fail(ErrorKind::transient, "bad_response", "EC2 DescribeInstanceTypes failed: the answer has no vCPUs.");
}

Result<std::string> role_of_profile(Session& session, const std::string& profile_name, const CallLimits& limits) {
  const auto answer = ask(session, {"iam", "GetInstanceProfile"}, {{"InstanceProfileName", profile_name}}, limits);
  if (!answer) return fail(answer.error());
  const XmlElement* roles = answer->at({"GetInstanceProfileResult", "InstanceProfile", "Roles"});
  if (roles == nullptr || roles->children.empty()) {
    return fail(ErrorKind::invalid, "no_role", "The instance profile " + profile_name + " has no role.");
  }
  return roles->children.front().value("RoleName");
}

Result<double> vcpu_quota(Session& session, bool spot, const CallLimits& limits) {
  auto endpoint = endpoint_for(session.endpoints(), "servicequotas");
  if (!endpoint) return fail(endpoint.error());
  const nlohmann::json body = {{"ServiceCode", "ec2"}, {"QuotaCode", spot ? "L-34B43A08" : "L-1216C47A"}};
  auto request =
      json_call({"servicequotas", "GetServiceQuota"}, *std::move(endpoint), "ServiceQuotasV20190624", body.dump());
  for (auto& [name, value] : request.headers) {
    if (value == "application/x-amz-json-1.0") value = "application/x-amz-json-1.1";
  }
  const auto answer = session.caller("servicequotas").call(request, limits.deadline, limits.stop);
  if (!answer) return fail(answer.error().error);
  const auto document = nlohmann::json::parse(answer->body, nullptr, false);
  const nlohmann::json::json_pointer pointer("/Quota/Value");
  if (document.is_discarded() || !document.contains(pointer) || !document.at(pointer).is_number()) {
    return fail(ErrorKind::transient, "bad_response", "The answer of Service Quotas has no value.");
  }
  return document.at(pointer).get<double>();
}

}  // namespace imgrec::aws
