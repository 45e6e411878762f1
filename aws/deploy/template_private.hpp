// What the resources of the template have in common. For the files of the template alone.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "aws/deploy/template.hpp"
#include "lib/config/config.hpp"

namespace imgrec::aws::template_private {

using Json = nlohmann::ordered_json;

/// Ref and Fn::GetAtt of a resource of the template.
Json reference_to(std::string_view id);
Json attribute(std::string_view id, std::string_view name);

/// A setting that is a list.
Json whole_list(const std::string& text);

/// aws.tags, after a first tag of ours with the fleet's name.
Json tags_of(const Config& config, std::string_view first);

/// By which the controller knows its workers: no other machine may have it.
inline constexpr std::string_view kFleetTagName = "imgrec:fleet";
/// Of the web instance.
inline constexpr std::string_view kWebTagName = "imgrec:web";

/// What a machine is to be: image, type, profile; reachable by no metadata service but its own, with an encrypted
/// volume, gone when it shuts down. Networks, user-data and tags are the caller's.
Json machine(const AwsConfig& aws, const std::string& type, std::string_view profile_id);

/// The resource of a launch template, which is the fleet's own.
Json launch_template(const Config& config, std::string_view role, Json data);

/// Subnets or zones of a group: empty subnets are the zones of the settings, or else all.
void add_places(Json& group, const AwsConfig& aws, const std::string& subnets);

/// The alarms and scaling policies of WorkerGroup.
void add_alarms(Json& resources, const Config& config, const AlarmRules& rules);

/// Template's WebAddress, WebSecurityGroup, WebLaunchTemplate and WebGroup. Errors: as render_template().
Result<void> add_web(Json& resources, const Config& config, const TemplateInputs& inputs);

}  // namespace imgrec::aws::template_private
