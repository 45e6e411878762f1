// The CloudFormation template of what the service needs on AWS before its first role starts.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/result.hpp"
#include "lib/config/config.hpp"

namespace imgrec::aws {

/// A change of capacity at a distance of the metric from the alarm's threshold: from `lower` to `upper`, open where
/// there is none.
struct AlarmStep {
  std::optional<double> lower, upper;
  int change = 0;
};
struct AlarmRule {
  double threshold = 0;
  bool above = true;  // or below
  std::vector<AlarmStep> steps = {};
};
struct AlarmRules {
  AlarmRule out = {}, in = {};
  int warm_up_seconds = 0;
};

/// What the settings do not say by themselves.
struct TemplateInputs {
  std::string input_bucket, output_bucket;  // both are made by the stack; they may be one and the same
  std::string bundle_bucket;                // there already, with the bundle in it: another than those two
  std::string worker_user_data;             // cloud-init's text, without a secret
  std::string web_user_data = {};           // the same with deploy.web; kAddressOfStack is in it
  int workers_max = 0;                      // of the workers' group
  AlarmRules alarms = {};                   // with deploy.alarms
};

/// In the web instance's user-data: the template has the address that the stack makes in its place.
inline constexpr const char* kAddressOfStack = "eipalloc-of-the-stack";

/// The output of a stack that is the web instance's address: "http://192.0.2.1:8000/".
inline constexpr const char* kAddressOutput = "Address";

/// A JSON document: the queues of the roster (but not those that web nodes make for themselves), the buckets, a role
/// and an instance profile for each of web, worker and controller with the policies of configs/iam, the workers'
/// security group unless the settings name others, their launch template, and with aws.fleet_kind "asg" their Auto
/// Scaling group, with deploy.alarms sized by two alarms on the queue of requests. With deploy.web also an Elastic IP,
/// a group of one machine that takes it and runs web and controller (its role has the policies of both), and the
/// security group and queue of answers of that. It names neither region, account nor partition, so that it holds in
/// each. Roles, profiles and the launch template are called after aws.fleet
/// ("imgrec-worker"). The same settings give the same bytes. Pure. Errors: invalid "no_image", "no_instance_type",
/// "bundle_in_stack", "bad_stack_name", "kms_alias", "not_of_stack"; of the web instance "no_allowed_cidr",
/// "open_to_all", "keys_elsewhere", "tls_elsewhere".
Result<std::string> render_template(const Config& config, const TemplateInputs& inputs);

/// The most bytes of a template that CloudFormation takes in a call; a greater one has to be in S3.
inline constexpr std::size_t kInlineTemplateBytesMax = 51'200;

/// The same document without spaces between its elements. text: of render_template(). Pure.
std::string compact_template(std::string_view text);

/// deploy.web_subnets, or else aws.subnets; empty: the default VPC's.
std::string web_subnets(const Config& config);

/// Whether the template has the parameter VpcId: the VPC of given subnets is no setting.
bool needs_vpc(const Config& config);

/// The files of configs/iam and configs/s3-lifecycle.json, embedded at build time.
extern const std::string_view kWebPolicy, kWorkerPolicy, kControllerPolicy, kWebInstancePolicy, kDeployerPolicy,
    kStackPolicy, kLifecycle;

}  // namespace imgrec::aws
