#include "aws/deploy/template.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "aws/deploy/template_policies.hpp"
#include "aws/deploy/template_private.hpp"
#include "lib/base/text.hpp"
#include "lib/config/settings_aws.hpp"
#include "lib/queues/queues.hpp"

namespace imgrec::aws {
namespace {

using namespace template_private;

constexpr int kLongPollSeconds = 20;  // the longest that SQS waits for a message

std::string queue_id(QueueKind kind) {
  switch (kind) {
    case QueueKind::dead_letters: return "DeadLetterQueue";
    case QueueKind::requests: return "RequestQueue";
    case QueueKind::responses: return "ResponseQueue";
    case QueueKind::shutdown_requests: return "ShutdownRequestQueue";
    case QueueKind::shutdown_confirmations: return "ShutdownConfirmedQueue";
    case QueueKind::signals: return "SignalQueue";
  }
  return {};
}

std::string name_on_sqs(const QueueRow& row) {
  return row.name + (row.fifo && !row.name.ends_with(".fifo") ? ".fifo" : "");
}

// As aws/adapters/sqs_queue.cpp makes them: what is started against the stack's queues finds nothing to complain about.
void add_queues(Json& resources, const Config& config) {
  for (const QueueRow& row : queue_roster(config)) {
    // The web instance's name is known, so its queue of answers is the stack's too, and goes with it.
    if (row.owner != QueueOwner::service && !config.deploy.web) continue;
    Json properties = {{"QueueName", name_on_sqs(row)},
                       {"VisibilityTimeout", std::chrono::ceil<Seconds>(row.visibility).count()},
                       {"MessageRetentionPeriod", row.retention.count()},
                       {"ReceiveMessageWaitTimeSeconds", kLongPollSeconds}};
    if (row.fifo) properties["FifoQueue"] = true;
    if (config.aws.sqs_kms_key.empty()) {
      properties["SqsManagedSseEnabled"] = true;
    } else {
      properties["KmsMasterKeyId"] = config.aws.sqs_kms_key;
    }
    if (!row.dead_letter.empty()) {
      properties["RedrivePolicy"] = {{"deadLetterTargetArn", attribute(queue_id(QueueKind::dead_letters), "Arn")},
                                     {"maxReceiveCount", row.receives_max}};
    }
    properties["Tags"] = tags_of(config, kFleetTagName);
    // A queue without the service holds nothing that anybody waits for.
    resources[queue_id(row.kind)] = {{"Type", "AWS::SQS::Queue"},
                                     {"DeletionPolicy", "Delete"},
                                     {"UpdateReplacePolicy", "Delete"},
                                     {"Properties", std::move(properties)}};
  }
}

// What ends by itself, of the buckets that are named. Images are in the input bucket, everything else in the other.
Json lifecycle_of(const std::string& bucket, const Config& config, const TemplateInputs& inputs) {
  Json rules = Json::array();
  const Json document = Json::parse(kLifecycle);
  for (const Json& rule : document["Rules"]) {
    std::string prefix = rule["Filter"]["Prefix"].get<std::string>();
    const bool is_input = prefix == "inputs/";
    if ((is_input ? inputs.input_bucket : inputs.output_bucket) != bucket) continue;
    if (prefix == ResultsConfig().prefix) prefix = config.results.prefix;
    if (prefix.empty()) continue;  // a rule for every key would end what is to stay
    rules.push_back({{"Id", rule["ID"]},
                     {"Status", rule["Status"]},
                     {"Prefix", (is_input ? config.aws.input_prefix : config.aws.output_prefix) + prefix},
                     {"ExpirationInDays", rule["Expiration"]["Days"]}});
  }
  return rules;
}

// Photos and results outlive the stack: deleting it leaves the buckets.
Json bucket_of(const std::string& name, const Config& config, const TemplateInputs& inputs) {
  Json encryption = {{"SSEAlgorithm", "AES256"}};
  if (!config.aws.s3_kms_key.empty()) {
    encryption = {{"SSEAlgorithm", "aws:kms"}, {"KMSMasterKeyID", config.aws.s3_kms_key}};
  }
  Json rule = {{"ServerSideEncryptionByDefault", std::move(encryption)}};
  if (!config.aws.s3_kms_key.empty()) rule["BucketKeyEnabled"] = true;
  return {{"Type", "AWS::S3::Bucket"},
          {"DeletionPolicy", "Retain"},
          {"UpdateReplacePolicy", "Retain"},
          {"Properties",
           {{"BucketName", name},
            {"PublicAccessBlockConfiguration",
             {{"BlockPublicAcls", true},
              {"BlockPublicPolicy", true},
              {"IgnorePublicAcls", true},
              {"RestrictPublicBuckets", true}}},
            {"BucketEncryption", {{"ServerSideEncryptionConfiguration", Json::array({std::move(rule)})}}},
            {"LifecycleConfiguration", {{"Rules", lifecycle_of(name, config, inputs)}}},
            {"Tags", tags_of(config, kFleetTagName)}}}};
}

void add_buckets(Json& resources, const Config& config, const TemplateInputs& inputs) {
  resources["InputBucket"] = bucket_of(inputs.input_bucket, config, inputs);
  if (inputs.output_bucket != inputs.input_bucket) {
    resources["OutputBucket"] = bucket_of(inputs.output_bucket, config, inputs);
  }
}

struct RoleOfStack {
  const char* name;
  const char* id;
  std::vector<std::pair<const char*, std::string_view>> policies =
      {};  // what they are called after, files of configs/iam
};

// The web instance is the machine of web and controller; without it each may be on another machine.
std::vector<RoleOfStack> roles_of(const Config& config) {
  RoleOfStack web{.name = "web", .id = "Web", .policies = {{"web", kWebPolicy}}};
  const RoleOfStack worker{.name = "worker", .id = "Worker", .policies = {{"worker", kWorkerPolicy}}};
  if (!config.deploy.web) {
    return {web, worker, {.name = "controller", .id = "Controller", .policies = {{"controller", kControllerPolicy}}}};
  }
  web.policies.emplace_back("controller", kControllerPolicy);
  web.policies.emplace_back("web-instance", kWebInstancePolicy);
  return {web, worker};
}

Result<void> add_roles(Json& resources, const Config& config, const TemplateInputs& inputs) {
  for (const RoleOfStack& role : roles_of(config)) {
    Json policies = Json::array();
    for (const auto& [name, policy] : role.policies) {
      const auto text = render_policy(policy, config, inputs);
      if (!text) return fail(text.error());
      policies.push_back({{"PolicyName", stack_name_of(config, name)}, {"PolicyDocument", Json::parse(*text)}});
    }
    const std::string name = stack_name_of(config, role.name), id = role.id;
    const Json trust = {
        {"Version", "2012-10-17"},
        {"Statement", Json::array({{{"Effect", "Allow"},
                                    {"Principal", {{"Service", {{"Fn::Sub", "ec2.${AWS::URLSuffix}"}}}}},
                                    {"Action", "sts:AssumeRole"}}})}};
    resources[id + "Role"] = {{"Type", "AWS::IAM::Role"},
                              {"Properties",
                               {{"RoleName", name},
                                {"AssumeRolePolicyDocument", trust},
                                {"Policies", std::move(policies)},
                                {"Tags", tags_of(config, kFleetTagName)}}}};
    resources[id + "Profile"] = {
        {"Type", "AWS::IAM::InstanceProfile"},
        {"Properties", {{"InstanceProfileName", name}, {"Roles", Json::array({reference_to(id + "Role")})}}}};
  }
  return {};
}

// Nobody calls a worker: nothing may come in. Everything may go out, as proxies and endpoints have ports of their own.
void add_security_group(Json& resources, const Config& config) {
  if (!config.aws.security_groups.empty()) return;
  Json properties = {{"GroupDescription", "Workers of imgrec: nothing in"}};
  if (!config.aws.subnets.empty()) properties["VpcId"] = reference_to("VpcId");
  properties["Tags"] = tags_of(config, kFleetTagName);
  resources["WorkerSecurityGroup"] = {{"Type", "AWS::EC2::SecurityGroup"}, {"Properties", std::move(properties)}};
}

void add_launch_template(Json& resources, const Config& config, const TemplateInputs& inputs) {
  const AwsConfig& aws = config.aws;
  Json groups = whole_list(aws.security_groups);
  if (groups.empty()) groups.push_back(attribute("WorkerSecurityGroup", "GroupId"));
  const auto tagged = [&](const char* type) {
    return Json{{"ResourceType", type}, {"Tags", tags_of(config, kFleetTagName)}};
  };
  Json data = machine(aws, list_of(aws.instance_types).front(), "WorkerProfile");
  data["ImageId"] = worker_image(aws);
  data["SecurityGroupIds"] = std::move(groups);
  data["TagSpecifications"] = Json::array({tagged("instance"), tagged("volume")});
  data["UserData"] = {{"Fn::Base64", inputs.worker_user_data}};
  // A group says so itself, in its distribution of instances.
  if (aws.spot && aws.fleet_kind != "asg") {
    data["InstanceMarketOptions"] = {
        {"MarketType", "spot"},
        {"SpotOptions", {{"SpotInstanceType", "one-time"}, {"InstanceInterruptionBehavior", "terminate"}}}};
  }
  resources["WorkerLaunchTemplate"] = launch_template(config, "worker", std::move(data));
}

// As `imgrec doctor` wants it: it begins empty, the controller alone sizes it, and it ends nobody by itself; with
// alarms it does all of that, and keeps one machine.
void add_group(Json& resources, const Config& config, int workers_max) {
  const AwsConfig& aws = config.aws;
  if (aws.fleet_kind != "asg") return;
  Json types = Json::array();
  for (const std::string& type : list_of(aws.instance_types)) types.push_back({{"InstanceType", type}});
  Json properties = {{"AutoScalingGroupName", aws.auto_scaling_group},
                     {"MinSize", std::to_string(config.deploy.alarms ? std::max(1, config.controller.min) : 0)},
                     {"MaxSize", std::to_string(workers_max)},
                     {"NewInstancesProtectedFromScaleIn", !config.deploy.alarms},
                     {"MixedInstancesPolicy",
                      {{"InstancesDistribution",
                        {{"OnDemandBaseCapacity", 0}, {"OnDemandPercentageAboveBaseCapacity", aws.spot ? 0 : 100}}},
                       {"LaunchTemplate",
                        {{"LaunchTemplateSpecification",
                          {{"LaunchTemplateId", reference_to("WorkerLaunchTemplate")},
                           {"Version", attribute("WorkerLaunchTemplate", "LatestVersionNumber")}}},
                         {"Overrides", std::move(types)}}}}}};
  add_places(properties, aws, aws.subnets);
  Json tags = tags_of(config, kFleetTagName);
  for (Json& tag : tags) tag["PropagateAtLaunch"] = false;  // instances have them from the launch template
  properties["Tags"] = std::move(tags);
  resources["WorkerGroup"] = {{"Type", "AWS::AutoScaling::AutoScalingGroup"}, {"Properties", std::move(properties)}};
}

Json outputs_of(const Config& config) {
  const auto output = [](const char* what, Json value) {
    return Json{{"Description", what}, {"Value", std::move(value)}};
  };
  Json out = {
      {"LaunchTemplate", output("For aws.launch_template", attribute("WorkerLaunchTemplate", "LaunchTemplateId"))},
      {"WorkerProfile", output("Instance profile of workers", reference_to("WorkerProfile"))},
      {"RequestQueue", output("Address of the queue of requests", reference_to("RequestQueue"))}};
  if (config.deploy.web) {
    const Json address = {{"Fn::Sub", "http://${WebAddress}:" + std::to_string(config.web.port) + "/"}};
    out[kAddressOutput] = output("Where the service answers", address);
    return out;
  }
  out["WebProfile"] = output("Instance profile of a machine that runs imgrec web", reference_to("WebProfile"));
  out["ControllerProfile"] =
      output("Instance profile of a machine that runs imgrec controller", reference_to("ControllerProfile"));
  return out;
}

// What IAM allows in the name of a role.
bool is_role_name(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("+=,.@_-").find(c) != std::string_view::npos;
  });
}

Result<void> check_names(const Config& config) {
  const AwsConfig& aws = config.aws;
  constexpr std::size_t kRoleNameMax = 64;
  const std::string longest = stack_name_of(config, "controller"), worker = stack_name_of(config, "worker");
  if (!is_role_name(longest) || longest.size() > kRoleNameMax) {
    return fail(ErrorKind::invalid, "bad_stack_name",
                "Roles are called after aws.fleet, and IAM takes no role " + json_quote(longest) +
                    ": give it up to 53 letters, digits and +=,.@_-.");
  }
  const auto& profile = aws.instance_profile;
  if (!profile.empty() && profile != worker && !profile.ends_with("/" + worker)) {
    return fail(ErrorKind::invalid, "not_of_stack",
                "aws.instance_profile is " + json_quote(profile) + ", and the stack makes " + json_quote(worker) +
                    ": leave the setting out, or give it that name.");
  }
  const auto& launch = aws.launch_template;
  if (!launch.empty() && launch != worker && !launch.starts_with("lt-")) {
    return fail(ErrorKind::invalid, "not_of_stack",
                "aws.launch_template is " + json_quote(launch) + ", and the stack makes " + json_quote(worker) +
                    ": leave the setting out, or give it that name.");
  }
  return {};
}

Result<void> check(const Config& config, const TemplateInputs& inputs) {
  if (config.aws.image_id.empty()) {
    return fail(ErrorKind::invalid, "no_image",
                "aws.image_id is empty: name the Debian 12 image (ami-…) that workers are launched from.");
  }
  if (list_of(config.aws.instance_types).empty()) {
    return fail(ErrorKind::invalid, "no_instance_type",
                "aws.instance_types is empty: name the types of workers, such as c7i.large.");
  }
  if (inputs.bundle_bucket == inputs.input_bucket || inputs.bundle_bucket == inputs.output_bucket) {
    return fail(ErrorKind::invalid, "bundle_in_stack",
                "The stack makes the bucket " + json_quote(inputs.bundle_bucket) +
                    ", but the bundle has to be in its bucket before: give the bundle a bucket of its own "
                    "(aws.bundle_bucket) and upload it there with `imgrec bundle upload`.");
  }
  return check_names(config);
}

}  // namespace

std::string compact_template(std::string_view text) {
  return Json::parse(text).dump();
}

std::string web_subnets(const Config& config) {
  return config.deploy.web_subnets.empty() ? config.aws.subnets : config.deploy.web_subnets;
}

bool needs_vpc(const Config& config) {
  const bool makes_group = config.aws.security_groups.empty();
  return (makes_group && !config.aws.subnets.empty()) || (config.deploy.web && !web_subnets(config).empty());
}

Result<std::string> render_template(const Config& config, const TemplateInputs& inputs) {
  if (auto checked = check(config, inputs); !checked) return fail(checked.error());
  Json out = {{"AWSTemplateFormatVersion", "2010-09-09"},
              {"Description", "imgrec: queues, buckets, roles, the workers' launch template and the web instance"}};
  if (needs_vpc(config)) {
    out["Parameters"]["VpcId"] = {{"Type", "AWS::EC2::VPC::Id"}, {"Description", "The VPC of the subnets"}};
  }
  Json resources;
  add_queues(resources, config);
  add_buckets(resources, config, inputs);
  if (auto added = add_roles(resources, config, inputs); !added) return fail(added.error());
  add_security_group(resources, config);
  add_launch_template(resources, config, inputs);
  add_group(resources, config, inputs.workers_max);
  if (config.deploy.alarms) add_alarms(resources, config, inputs.alarms);
  if (config.deploy.web) {
    if (auto added = add_web(resources, config, inputs); !added) return fail(added.error());
  }
  out["Resources"] = std::move(resources);
  out["Outputs"] = outputs_of(config);
  return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace imgrec::aws
