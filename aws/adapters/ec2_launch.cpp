#include "aws/adapters/ec2_launch.hpp"

#include <algorithm>
#include <charconv>

#include "aws/client/protocols.hpp"
#include "lib/base/base64.hpp"
#include "lib/base/clock.hpp"
#include "lib/base/digest.hpp"
#include "lib/base/text.hpp"

namespace imgrec::aws {
namespace {

constexpr std::string_view kAppTiersLine = "# imgrec:app-tiers=";
constexpr int kInstancesMax = 1000;
constexpr std::size_t kTagsMax = 40;  // EC2 allows 50, some are ours

using Tags = std::map<std::string, std::string>;

void append_tags(QueryPairs& form, int number, const std::string& resource, const Tags& tags) {
  const std::string name = "TagSpecification." + std::to_string(number);
  form.emplace_back(name + ".ResourceType", resource);
  int at = 0;
  for (const auto& [key, value] : tags) {
    const std::string tag = name + ".Tag." + std::to_string(++at);
    form.emplace_back(tag + ".Key", key);
    form.emplace_back(tag + ".Value", value);
  }
}

void append_machine(QueryPairs& form, const Ec2FleetOptions& options, const Ec2Pool& pool) {
  const auto add = [&](const char* name, const std::string& value) {
    if (!value.empty()) form.emplace_back(name, value);
  };
  if (!options.launch_template.empty()) {
    const bool is_id = options.launch_template.starts_with("lt-");
    add(is_id ? "LaunchTemplate.LaunchTemplateId" : "LaunchTemplate.LaunchTemplateName", options.launch_template);
    add("LaunchTemplate.Version", options.template_version.empty() ? "$Default" : options.template_version);
  }
  add("ImageId", options.image_id);
  add("InstanceType", pool.instance_type);
  add("SubnetId", pool.subnet);
  add("Placement.AvailabilityZone", pool.zone);
  append_list(form, "SecurityGroupId", options.security_groups);
  add(options.instance_profile.starts_with("arn:") ? "IamInstanceProfile.Arn" : "IamInstanceProfile.Name",
      options.instance_profile);
  add("KeyName", options.key_name);
}

// With its app tiers: metadata show tags only where all of an instance's tags can be shown.
std::string user_data_of(const Ec2FleetOptions& options, const std::string& app_tiers) {
  const bool ends_line = options.user_data.ends_with('\n');
  return options.user_data + (ends_line ? "" : "\n") + std::string(kAppTiersLine) + app_tiers + "\n";
}

// Letters, digits and what instance metadata can show as a tag's key.
bool is_tag_key(std::string_view key) {
  return !key.empty() && key.size() <= 128 && !key.starts_with("aws:") && !key.starts_with("imgrec:") &&
         std::ranges::all_of(key, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  std::string_view("+-=.,_:@").find(c) != std::string_view::npos;
         });
}

}  // namespace

std::vector<Ec2Filter> live_filters(std::string_view tag, const std::string& value) {
  return {{"tag:" + std::string(tag), {value}},
          {"instance-state-name", {"pending", "running", "shutting-down", "stopping", "stopped"}}};
}

std::vector<Ec2Filter> fleet_filters(const std::string& fleet) {
  return live_filters(kFleetTag, fleet);
}

std::vector<Ec2Pool> pools_of(const Ec2FleetOptions& options) {
  const std::vector<std::string> any = {""};
  std::vector<Ec2Pool> out;
  for (const std::string& type : options.instance_types.empty() ? any : options.instance_types) {
    if (!options.subnets.empty()) {
      for (const std::string& subnet : options.subnets) out.push_back({type, subnet, ""});
    } else {
      for (const std::string& zone : options.zones.empty() ? any : options.zones) out.push_back({type, "", zone});
    }
  }
  return out;
}

std::string to_app_tiers(const std::vector<int>& numbers) {
  std::string out;
  for (std::size_t i = 0; i < numbers.size();) {
    std::size_t end = i + 1;
    while (end < numbers.size() && numbers[end] == numbers[end - 1] + 1) ++end;
    if (!out.empty()) out += ',';
    out += std::to_string(numbers[i]);
    if (end > i + 1) out += "-" + std::to_string(numbers[end - 1]);
    i = end;
  }
  return out;
}

std::optional<int> app_tier_number(std::string_view app_tiers, int index) {
  for (const std::string_view range : split(app_tiers, ',')) {
    int first = 0, last = 0;
    auto [end, error] = std::from_chars(range.data(), range.data() + range.size(), first);
    if (error != std::errc{} || first < 1 || index < 0) return std::nullopt;
    last = first;
    if (end != range.data() + range.size()) {
      if (*end != '-' || std::from_chars(end + 1, range.data() + range.size(), last).ec != std::errc{}) {
        return std::nullopt;
      }
    }
    if (index <= last - first) return first + index;
    index -= last - first + 1;
  }
  return std::nullopt;
}

std::string app_tier_id_of(std::string_view app_tiers, int launch_index) {
  const auto number = app_tier_number(app_tiers, launch_index);
  return number ? "app-tier-" + std::to_string(*number) : "";
}

std::string to_plan(const Ec2Launch& launch, const Ec2Pool& pool) {
  return to_app_tiers(launch.numbers) + "\n" + to_rfc3339(launch.at) + "\n" + (launch.tags_in_metadata ? "1" : "0") +
         "\n" + std::to_string(launch.attempt) + "\n" + pool.instance_type + "\n" + pool.subnet + "\n" + pool.zone;
}

std::optional<std::pair<Ec2Launch, Ec2Pool>> parse_plan(std::string_view plan, const LaunchToken& token) {
  const auto lines = split(plan, '\n');
  if (lines.size() != 7) return std::nullopt;
  Ec2Launch launch{.token = token, .numbers = {}, .at = {}, .tags_in_metadata = lines[2] == "1"};
  for (int index = 0; index < kInstancesMax; ++index) {
    const auto number = app_tier_number(lines[0], index);
    if (!number) break;
    launch.numbers.push_back(*number);
  }
  const auto at = parse_rfc3339(lines[1]);
  const auto [end, error] = std::from_chars(lines[3].data(), lines[3].data() + lines[3].size(), launch.attempt);
  if (launch.numbers.empty() || !at || error != std::errc{} || end != lines[3].data() + lines[3].size()) {
    return std::nullopt;
  }
  launch.at = *at;
  return std::pair(std::move(launch), Ec2Pool{std::string(lines[4]), std::string(lines[5]), std::string(lines[6])});
}

std::string client_token(const Ec2FleetOptions& options, const Ec2Pool& pool, const Ec2Launch& launch) {
  return sha256_hex(options.name + "\n" + launch.token.str() + "\n" + pool.instance_type + "\n" + pool.subnet + "\n" +
                    pool.zone + "\n" + std::to_string(launch.attempt));
}

// "InvalidParameterValue: 'my tag' is not a valid tag key. Tag keys must match pattern ([0-9a-zA-Z\\-_+=,.@:]{1,255})
// …"
bool refuses_tags_in_metadata(const CallFailure& failure) {
  return failure.aws_code == "InvalidParameterValue" &&
         failure.error.message.find("not a valid tag key") != std::string::npos;
}

QueryPairs run_parameters(const Ec2FleetOptions& options, const Ec2Pool& pool, const Ec2Launch& launch) {
  const std::string app_tiers = to_app_tiers(launch.numbers);
  QueryPairs form = {{"MinCount", "1"},
                     {"MaxCount", std::to_string(launch.numbers.size())},
                     {"ClientToken", client_token(options, pool, launch)}};
  append_machine(form, options, pool);
  form.emplace_back("InstanceInitiatedShutdownBehavior", "terminate");
  form.emplace_back("MetadataOptions.HttpEndpoint", "enabled");
  form.emplace_back("MetadataOptions.HttpTokens", "required");
  if (!options.user_data.empty()) {
    form.emplace_back("UserData", base64_encode(user_data_of(options, app_tiers)));
  } else if (launch.tags_in_metadata) {
    form.emplace_back("MetadataOptions.InstanceMetadataTags", "enabled");
  }
  if (options.spot) {
    form.emplace_back("InstanceMarketOptions.MarketType", "spot");
    form.emplace_back("InstanceMarketOptions.SpotOptions.SpotInstanceType", "one-time");
    form.emplace_back("InstanceMarketOptions.SpotOptions.InstanceInterruptionBehavior", "terminate");
  }
  Tags tags = options.tags;
  tags.emplace(kFleetTag, options.name);
  append_tags(form, 2, "volume", tags);
  tags.emplace("Name", launch.numbers.size() == 1 ? "app-tier-" + app_tiers : options.name + " app-tier " + app_tiers);
  tags.emplace(kAppTiersTag, app_tiers);
  tags.emplace(kLaunchTag, launch.token.str());
  tags.emplace(kLaunchedAtTag, to_rfc3339(launch.at));
  append_tags(form, 1, "instance", tags);
  return form;
}

Result<void> check_options(const Ec2FleetOptions& options) {
  const auto bad = [](std::string what) { return fail(ErrorKind::invalid, "bad_fleet", std::move(what)); };
  if (options.name.empty() || options.name.size() > 100) return bad("An EC2 fleet has a name of 1 to 100 characters.");
  if (options.instances_max < 1 || options.instances_max > kInstancesMax) {
    return bad("An EC2 fleet has at most 1 to 1000 instances.");
  }
  if (options.launch_template.empty() && (options.image_id.empty() || options.instance_types.empty())) {
    return bad("An EC2 fleet needs a launch template, or an image (ami-…) and at least one instance type.");
  }
  if (!options.subnets.empty() && !options.zones.empty()) {
    return bad("An EC2 fleet takes subnets or zones, not both: a subnet is in a zone.");
  }
  if (options.user_data.size() > kUserDataBytesMax)
    return bad("The user-data of an instance has at most " + std::to_string(kUserDataBytesMax) + " bytes.");
  if (options.tags.size() > kTagsMax) return bad("An instance has at most 40 tags of its fleet.");
  for (const auto& [key, value] : options.tags) {
    if (!is_tag_key(key) || value.size() > 256) {
      return bad("The tag " + json_quote(key) +
                 " cannot be used: a key has 1 to 128 letters, digits and +-=.,_:@ and begins with neither aws: nor "
                 "imgrec:, a value has at most 256 characters.");
    }
  }
  return {};
}

}  // namespace imgrec::aws
