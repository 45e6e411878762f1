#include "aws/adapters/asg_api.hpp"

#include <charconv>

#include "aws/client/wire/xml.hpp"

namespace imgrec::aws {
namespace {

std::unexpected<Error> bad_group_response(const std::string& what) {
  return fail(ErrorKind::transient, "bad_response", "Auto Scaling DescribeAutoScalingGroups failed: " + what);
}

std::optional<int> group_number(const XmlElement& parent, const char* name) {
  const std::string text = parent.value(name);
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<AsgGroup> read_group(const XmlElement& item) {
  const auto min = group_number(item, "MinSize"), max = group_number(item, "MaxSize"),
             desired = group_number(item, "DesiredCapacity");
  if (!min || !max || !desired) return std::nullopt;
  AsgGroup out{.name = item.value("AutoScalingGroupName"),
               .min = *min,
               .max = *max,
               .desired = *desired,
               .protects_new = item.value("NewInstancesProtectedFromScaleIn") == "true",
               .suspended = {},
               .instances = {}};
  if (const XmlElement* suspended = item.child("SuspendedProcesses")) {
    for (const XmlElement* one : suspended->all("member")) out.suspended.push_back(one->value("ProcessName"));
  }
  if (const XmlElement* instances = item.child("Instances")) {
    for (const XmlElement* one : instances->all("member")) {
      out.instances.push_back({.id = InstanceId(one->value("InstanceId")),
                               .lifecycle = one->value("LifecycleState"),
                               .type = one->value("InstanceType")});
    }
  }
  return out;
}

}  // namespace

Result<AsgGroup> AsgApi::describe(const std::string& group, const CallLimits& limits) {
  const auto got = call("DescribeAutoScalingGroups", {{"AutoScalingGroupNames.member.1", group}}, limits);
  if (!got) return fail(got.error().error);
  const auto document = parse_xml(got->body);
  if (!document) return fail(document.error());
  const XmlElement* groups = document->at({"DescribeAutoScalingGroupsResult", "AutoScalingGroups"});
  if (groups == nullptr) return bad_group_response("the answer holds no list.");
  for (const XmlElement* item : groups->all("member")) {
    if (item->value("AutoScalingGroupName") != group) continue;
    auto read = read_group(*item);
    if (!read) return bad_group_response("the group has no sizes.");
    return *std::move(read);
  }
  return fail(ErrorKind::not_found, "no_such_group",
              "There is no Auto Scaling group \"" + group +
                  "\" in this region: make it, or correct "
                  "aws.auto_scaling_group.");
}

Result<void> AsgApi::set_desired(const std::string& group, int desired, const CallLimits& limits) {
  const auto got =
      call("SetDesiredCapacity",
           {{"AutoScalingGroupName", group}, {"DesiredCapacity", std::to_string(desired)}, {"HonorCooldown", "false"}},
           limits);
  if (!got) return fail(got.error().error);
  return {};
}

Result<void> AsgApi::set_size(const std::string& group, const Size& size, const CallLimits& limits) {
  const auto got = call("UpdateAutoScalingGroup",
                        {{"AutoScalingGroupName", group},
                         {"MinSize", std::to_string(size.min)},
                         {"MaxSize", std::to_string(size.max)},
                         {"DesiredCapacity", std::to_string(size.desired)}},
                        limits);
  if (!got) return fail(got.error().error);
  return {};
}

Result<bool> AsgApi::terminate(const InstanceId& id, bool decrement, const CallLimits& limits) {
  const auto got =
      call("TerminateInstanceInAutoScalingGroup",
           {{"InstanceId", id.str()}, {"ShouldDecrementDesiredCapacity", decrement ? "true" : "false"}}, limits);
  if (got) return true;
  // "Instance Id not found - No managed instance found for instance ID: i-…"
  const CallFailure& failure = got.error();
  if (failure.aws_code == "ValidationError" && failure.error.message.find("not found") != std::string::npos)
    return false;
  return fail(failure.error);
}

}  // namespace imgrec::aws
