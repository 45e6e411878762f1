#include "aws/deploy/template_private.hpp"

#include <nlohmann/json.hpp>
#include <utility>

#include "aws/deploy/template_policies.hpp"
#include "lib/config/settings_aws.hpp"

namespace imgrec::aws::template_private {
namespace {

constexpr int kVolumeGib = 8;                     // as Debian's images have
constexpr const char* kRootDevice = "/dev/xvda";  // of Debian's images

}  // namespace

Json reference_to(std::string_view id) {
  return Json{{"Ref", id}};
}

Json attribute(std::string_view id, std::string_view name) {
  return Json{{"Fn::GetAtt", Json::array({id, name})}};
}

Json whole_list(const std::string& text) {
  Json out = Json::array();
  for (std::string& one : list_of(text)) out.push_back(std::move(one));
  return out;
}

Json tags_of(const Config& config, std::string_view first) {
  Json out = Json::array({{{"Key", first}, {"Value", config.aws.fleet}}});
  for (const std::string& tag : list_of(config.aws.tags)) {
    const auto equals = tag.find('=');
    out.push_back({{"Key", tag.substr(0, equals)}, {"Value", equals == tag.npos ? "" : tag.substr(equals + 1)}});
  }
  return out;
}

Json machine(const AwsConfig& aws, const std::string& type, std::string_view profile_id) {
  Json out = {
      {"ImageId", aws.image_id},
      {"InstanceType", type},
      {"IamInstanceProfile", {{"Name", reference_to(profile_id)}}},
      // A token for each call, which reaches no further than the machine itself.
      {"MetadataOptions", {{"HttpEndpoint", "enabled"}, {"HttpTokens", "required"}, {"HttpPutResponseHopLimit", 1}}},
      {"InstanceInitiatedShutdownBehavior", "terminate"},
      {"BlockDeviceMappings", Json::array({{{"DeviceName", kRootDevice},
                                            {"Ebs",
                                             {{"Encrypted", true},
                                              {"VolumeType", "gp3"},
                                              {"VolumeSize", kVolumeGib},
                                              {"DeleteOnTermination", true}}}}})}};
  if (!aws.key_name.empty()) out["KeyName"] = aws.key_name;
  return out;
}

Json launch_template(const Config& config, std::string_view role, Json data) {
  Json own_tags = {{"ResourceType", "launch-template"}, {"Tags", tags_of(config, kFleetTagName)}};
  return {{"Type", "AWS::EC2::LaunchTemplate"},
          {"Properties",
           {{"LaunchTemplateName", stack_name_of(config, role)},
            {"LaunchTemplateData", std::move(data)},
            {"TagSpecifications", Json::array({std::move(own_tags)})}}}};
}

void add_places(Json& group, const AwsConfig& aws, const std::string& subnets) {
  if (!subnets.empty()) {
    group["VPCZoneIdentifier"] = whole_list(subnets);
  } else if (!aws.zones.empty()) {
    group["AvailabilityZones"] = whole_list(aws.zones);
  } else {
    group["AvailabilityZones"] = {{"Fn::GetAZs", ""}};
  }
}

}  // namespace imgrec::aws::template_private
