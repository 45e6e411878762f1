// The web instance of the template: a machine with an Elastic IP that runs web and controller.
#include <nlohmann/json.hpp>
#include <utility>

#include "aws/deploy/template_policies.hpp"
#include "aws/deploy/template_private.hpp"
#include "lib/config/settings_aws.hpp"

namespace imgrec::aws::template_private {
namespace {

constexpr int kWideRangeBits = 8;  // a range with fewer fixed bits is about everybody

bool is_wide(const std::string& cidr) {
  return std::stoi(cidr.substr(cidr.find('/') + 1)) < kWideRangeBits;
}

// What the web instance cannot be, or must not be, on a public address.
Result<void> check_web(const Config& config) {
  const auto ranges = list_of(config.deploy.allowed_cidr);
  if (ranges.empty()) {
    return fail(ErrorKind::invalid, "no_allowed_cidr",
                "deploy.allowed_cidr is empty, so nobody could reach the web instance: name the addresses that may, "
                "such as [\"203.0.113.7/32\"], or set deploy.web = false to run imgrec web and imgrec controller "
                "elsewhere.");
  }
  const std::string& keys = config.web.keys_file;
  if (!keys.empty() && keys != "store") {
    return fail(ErrorKind::invalid, "keys_elsewhere",
                "web.keys_file is a file of this machine, which the web instance does not have: set it to \"store\", "
                "and make the keys anew with `imgrec key create`.");
  }
  for (const std::string& range : ranges) {
    if (!keys.empty() || !is_wide(range)) continue;
    return fail(ErrorKind::invalid, "open_to_all",
                "deploy.allowed_cidr has " + range +
                    ", so that about everybody could use the service and read its results: name fewer addresses, or "
                    "set web.keys_file = \"store\" and give keys to its users (imgrec key create).");
  }
  if (!config.web.tls_certificate.empty() || !config.web.tls_key.empty()) {
    return fail(ErrorKind::invalid, "tls_elsewhere",
                "web.tls_certificate and web.tls_key are files of this machine, and a private key may not be in "
                "user-data: leave them out, and put a load balancer or a proxy that speaks TLS before the web "
                "instance.");
  }
  return {};
}

Json security_group(const Config& config) {
  Json rules = Json::array();
  for (const std::string& range : list_of(config.deploy.allowed_cidr)) {
    rules.push_back({{"Description", "deploy.allowed_cidr"},
                     {"IpProtocol", "tcp"},
                     {"FromPort", config.web.port},
                     {"ToPort", config.web.port},
                     {"CidrIp", range}});
  }
  Json properties = {{"GroupDescription", "The web instance of imgrec: its port, from deploy.allowed_cidr"},
                     {"SecurityGroupIngress", std::move(rules)}};
  if (!web_subnets(config).empty()) properties["VpcId"] = reference_to("VpcId");
  properties["Tags"] = tags_of(config, kFleetTagName);
  return {{"Type", "AWS::EC2::SecurityGroup"}, {"Properties", std::move(properties)}};
}

// With the address of this stack in place of the word for it, which is between quotes: they join the parts.
Json user_data(const std::string& text) {
  const std::string word = "\"" + std::string(kAddressOfStack) + "\"";
  const auto at = text.find(word);
  Json parts =
      Json::array({text.substr(0, at), attribute("WebAddress", "AllocationId"), text.substr(at + word.size())});
  return {{"Fn::Base64", {{"Fn::Join", Json::array({"\"", std::move(parts)})}}}};
}

Json launch_data(const Config& config, const TemplateInputs& inputs) {
  const std::string& type = config.deploy.web_type;
  Json out = machine(config.aws, type.empty() ? list_of(config.aws.instance_types).front() : type, "WebProfile");
  // An address of its own until it has the stack's: it installs its program and asks for that address by this one.
  out["NetworkInterfaces"] = Json::array({{{"DeviceIndex", 0},
                                           {"AssociatePublicIpAddress", true},
                                           {"DeleteOnTermination", true},
                                           {"Groups", Json::array({attribute("WebSecurityGroup", "GroupId")})}}});
  out["TagSpecifications"] = Json::array();
  for (const char* resource : {"instance", "volume", "network-interface"}) {
    out["TagSpecifications"].push_back({{"ResourceType", resource}, {"Tags", tags_of(config, kWebTagName)}});
  }
  out["UserData"] = user_data(inputs.web_user_data);
  return out;
}

// A group of one: a machine that fails is replaced, and one whose template changed too.
Json group(const Config& config) {
  Json properties = {{"AutoScalingGroupName", stack_name_of(config, "web")},
                     {"MinSize", "1"},
                     {"MaxSize", "1"},
                     {"DesiredCapacity", "1"},
                     {"LaunchTemplate",
                      {{"LaunchTemplateId", reference_to("WebLaunchTemplate")},
                       {"Version", attribute("WebLaunchTemplate", "LatestVersionNumber")}}}};
  add_places(properties, config.aws, web_subnets(config));
  Json tags = tags_of(config, kWebTagName);
  for (Json& tag : tags) tag["PropagateAtLaunch"] = true;
  // The instance must not have it: the controller would take it for a worker, and end it.
  tags.push_back({{"Key", kFleetTagName}, {"Value", config.aws.fleet}, {"PropagateAtLaunch", false}});
  properties["Tags"] = std::move(tags);
  return {{"Type", "AWS::AutoScaling::AutoScalingGroup"},
          // What its machine does needs all of this: it would fail, and start anew, until it is there.
          {"DependsOn", Json::array({"RequestQueue", "ResponseQueue", "InputBucket", "WorkerLaunchTemplate"})},
          {"UpdatePolicy", {{"AutoScalingRollingUpdate", {{"MinInstancesInService", 0}, {"MaxBatchSize", 1}}}}},
          {"Properties", std::move(properties)}};
}

}  // namespace

Result<void> add_web(Json& resources, const Config& config, const TemplateInputs& inputs) {
  if (auto checked = check_web(config); !checked) return checked;
  resources["WebAddress"] = {{"Type", "AWS::EC2::EIP"},
                             {"Properties", {{"Domain", "vpc"}, {"Tags", tags_of(config, kFleetTagName)}}}};
  resources["WebSecurityGroup"] = security_group(config);
  resources["WebLaunchTemplate"] = launch_template(config, "web", launch_data(config, inputs));
  resources["WebGroup"] = group(config);
  return {};
}

}  // namespace imgrec::aws::template_private
