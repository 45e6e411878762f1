// On AWS: SQS queues, S3 buckets, EC2 instances.
#include <algorithm>
#include <optional>

#include "aws/adapters/asg_fleet.hpp"
#include "aws/adapters/notices.hpp"
#include "aws/adapters/s3_object.hpp"
#include "aws/adapters/s3_store.hpp"
#include "aws/adapters/sqs_queue.hpp"
#include "cmd/platform/platforms.hpp"
#include "cmd/platform/prefixed_store.hpp"
#include "cmd/platform/user_data.hpp"
#include "lib/base/environment.hpp"
#include "lib/base/file.hpp"
#include "lib/base/log.hpp"
#include "lib/config/settings_aws.hpp"
#include "lib/queues/queues.hpp"

namespace imgrec {
namespace {

constexpr std::uint64_t kProfilesBytesMax = kMiB;

Environment environment_with(const AwsConfig& aws) {
  Environment environment;
  for (const std::string& entry : environment_of_this_process()) {
    const auto equals = entry.find('=');
    if (equals != entry.npos) environment.emplace(entry.substr(0, equals), entry.substr(equals + 1));
  }
  // As AWS's tools do it: services are often started without HOME.
  if (const auto home = environment.find("HOME"); home == environment.end() || home->second.empty()) {
    environment["HOME"] = home_of_user();
  }
  const std::pair<const char*, const std::string*> own[] = {{"AWS_ENDPOINT_URL", &aws.endpoint_url},
                                                            {"AWS_ENDPOINT_URL_SQS", &aws.sqs_endpoint_url},
                                                            {"AWS_ENDPOINT_URL_S3", &aws.s3_endpoint_url},
                                                            {"AWS_ENDPOINT_URL_EC2", &aws.ec2_endpoint_url}};
  // One address for every service replaces all that the environment says.
  if (!aws.endpoint_url.empty()) {
    std::erase_if(environment, [](const auto& entry) { return entry.first.starts_with("AWS_ENDPOINT_URL"); });
  }
  for (const auto& [name, url] : own) {
    if (url->empty()) continue;
    environment[name] = *url;
    environment.erase("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");
  }
  return environment;
}

aws::QueueSetup queue_setup(const std::string& word, QueueOwner owner) {
  // A request that names another node's queue must not make it.
  if (word == "use" || owner == QueueOwner::another_node) return aws::QueueSetup::use;
  // Web nodes come and go, so each makes its own queue also where the others are only checked.
  if (owner == QueueOwner::this_node) return aws::QueueSetup::create;
  return word == "check" ? aws::QueueSetup::check : aws::QueueSetup::create;
}

// Conditional puts are sure on S3 itself; not on what only speaks like it.
bool is_aws_itself(const aws::Session& session) {
  const auto& overrides = session.endpoints().overrides;
  return !overrides.contains("") && !overrides.contains("s3");
}

// By the fleet's tag, so that what was launched a moment ago ends too.
std::string how_to_end_instances(const std::string& region, const std::string& fleet) {
  return "aws ec2 terminate-instances --region " + region + " --instance-ids $(aws ec2 describe-instances --region " +
         region + " --filters 'Name=tag:imgrec:fleet,Values=" + fleet +
         "' 'Name=instance-state-name,Values=pending,running' --query 'Reservations[].Instances[].InstanceId' "
         "--output text)";
}

// The instances are protected from scale-in, so the number alone ends none.
std::string how_to_end_group(const std::string& region, const std::string& group) {
  const std::string of_group = " --region " + region + " --auto-scaling-group-name " + group;
  return "aws autoscaling update-auto-scaling-group" + of_group +
         " --min-size 0 --desired-capacity 0 && aws autoscaling " + "set-instance-protection" + of_group +
         " --no-protected-from-scale-in --instance-ids $(aws autoscaling " + "describe-auto-scaling-groups --region " +
         region + " --auto-scaling-group-names " + group +
         " --query 'AutoScalingGroups[].Instances[].InstanceId' --output text)";
}

Result<std::shared_ptr<ObjectStore>> open_store(aws::Session& session, const aws::S3StoreOptions& bucket,
                                                const std::string& prefix) {
  auto store = aws::open_s3_store(session, bucket);
  if (!store) return fail(store.error());
  if (prefix.empty()) return std::shared_ptr<ObjectStore>(std::move(*store));
  return std::shared_ptr<ObjectStore>(make_prefixed_store(std::move(*store), prefix));
}

Result<void> open_stores(aws::Session& session, const AwsConfig& aws, const AwsBuckets& buckets,
                         aws::S3StoreOptions options, Platform& platform) {
  options.bucket = buckets.input;
  auto inputs = open_store(session, options, aws.input_prefix);
  if (!inputs) return fail(inputs.error());
  options.bucket = buckets.output;
  if (buckets.input == buckets.output) options.setup = aws::BucketSetup::use;
  auto outputs = open_store(session, options, aws.output_prefix);
  if (!outputs) return fail(outputs.error());
  platform.inputs = *std::move(inputs);
  platform.outputs = *std::move(outputs);
  return {};
}

}  // namespace

aws::SqsRules sqs_rules(const Config& config) {
  aws::SqsRules rules;
  rules.options_of = [config](const std::string& name) -> std::optional<aws::SqsQueueOptions> {
    const auto row = find_queue(config, name);
    if (!row) return std::nullopt;
    return aws::SqsQueueOptions{.fifo = row->fifo,
                                .receives_max = row->receives_max,
                                .dead_letter = row->dead_letter,
                                .setup = queue_setup(config.aws.queues, row->owner),
                                .visibility = row->visibility,
                                .retention = row->retention,
                                .kms_key = config.aws.sqs_kms_key,
                                .tags = tags_of(config.aws)};
  };
  return rules;
}

aws::S3StoreOptions store_options(const AwsConfig& aws) {
  aws::S3StoreOptions options{.bucket = {}, .setup = aws::BucketSetup::create};
  if (aws.buckets == "use") options.setup = aws::BucketSetup::use;
  if (aws.buckets == "check") options.setup = aws::BucketSetup::check;
  options.kms_key = aws.s3_kms_key;
  options.tags = tags_of(aws);
  return options;
}

Result<AwsBuckets> aws_buckets(const AwsConfig& aws) {
  if (aws.input_bucket.empty()) {
    return fail(ErrorKind::invalid, "no_bucket",
                "No bucket is named for the images: give --input-bucket NAME (aws.input_bucket), and --output-bucket "
                "where results belong elsewhere.");
  }
  return AwsBuckets{.input = aws.input_bucket,
                    .output = aws.output_bucket.empty() ? aws.input_bucket : aws.output_bucket,
                    .bundle = aws.bundle_bucket.empty() ? aws.input_bucket : aws.bundle_bucket};
}

Result<std::unique_ptr<aws::Session>> open_aws_session(const Config& config, Clock& clock, Rng& rng) {
  return aws::open_session(environment_with(config.aws),
                           {.region = config.aws.region, .endpoint_url = {}, .user_agent = "imgrec"}, clock, rng);
}

std::optional<std::string> region_source(const Config& config) {
  const Environment environment = environment_with(config.aws);
  for (const char* name : {"AWS_REGION", "AWS_DEFAULT_REGION"}) {
    if (!aws::env_value(environment, name).empty()) return std::string("env ") + name;
  }
  const auto profiles = aws::load_profiles(
      environment, [](const std::filesystem::path& path) { return read_file(path, kProfilesBytesMax); });
  const aws::Properties* profile = profiles ? profiles->current() : nullptr;
  if (profile == nullptr || aws::property(*profile, "region").empty()) return std::nullopt;
  return "profile " + profiles->selected;
}

std::map<std::string, std::string> tags_of(const AwsConfig& aws) {
  std::map<std::string, std::string> tags;
  for (const std::string& tag : list_of(aws.tags)) tags[tag.substr(0, tag.find('='))] = tag.substr(tag.find('=') + 1);
  return tags;
}

Result<aws::Ec2FleetOptions> ec2_fleet_options(const Config& config, const aws::EndpointSettings& endpoints) {
  const AwsConfig& aws = config.aws;
  aws::Ec2FleetOptions options{.name = aws.fleet,
                               .launch_template = aws.launch_template,
                               .template_version = aws.launch_template_version,
                               .image_id = worker_image(aws),
                               .instance_types = list_of(aws.instance_types),
                               .subnets = list_of(aws.subnets),
                               .zones = list_of(aws.zones),
                               .security_groups = list_of(aws.security_groups),
                               .instance_profile = aws.instance_profile,
                               .key_name = aws.key_name,
                               .user_data = {},
                               .tags = tags_of(aws),
                               .spot = aws.spot,
                               .instances_max = std::max(1, config.controller.max)};
  if (!aws.bundle_key.empty()) {
    auto user_data = worker_user_data(config, endpoints);
    if (!user_data) return fail(user_data.error());
    options.user_data = std::move(*user_data);
  }
  return options;
}

Result<Platform> make_aws_platform(const Config& config, Clock& clock, Rng& rng, const PlatformNeeds& needs) {
  const auto buckets = aws_buckets(config.aws);
  if (!buckets) return fail(buckets.error());
  auto opened = open_aws_session(config, clock, rng);
  if (!opened) return fail(opened.error());
  const std::shared_ptr<aws::Session> session = std::move(*opened);
  if (config.aws.region.empty() && !region_source(config)) {
    log::warning("nothing names the region: the default is taken; set aws.region or AWS_REGION",
                 {{"region", session->region()}});
  }
  Platform platform;
  platform.connection = session;
  platform.queues = aws::open_sqs_queues(*session, sqs_rules(config));
  // The dead-letter queue first: the other's redrive policy names it.
  auto dead_letters = platform.queues->open(queue_name(config, QueueKind::dead_letters), needs.stop);
  if (!dead_letters) return fail(dead_letters.error());
  auto requests = platform.queues->open(queue_name(config, QueueKind::requests), needs.stop);
  if (!requests) return fail(requests.error());
  platform.dead_letters = *dead_letters;
  platform.signals = open_signals(*platform.queues, config, needs.stop);
  platform.requests = *requests;
  platform.objects = aws::make_s3_reader(*session);
  platform.input_bucket = buckets->input;
  platform.place = "images in the bucket " + buckets->input;
  aws::S3StoreOptions store = store_options(config.aws);
  store.stop = needs.stop;
  store.probe_conditions = !is_aws_itself(*session);
  if (!needs.make_stores) store.setup = aws::BucketSetup::use;
  if (auto stores = open_stores(*session, config.aws, *buckets, std::move(store), platform); !stores) {
    return fail(stores.error());
  }
  const bool is_group = config.aws.fleet_kind == "asg";
  platform.make_fleet = [config, session, is_group]() -> Result<std::unique_ptr<Fleet>> {
    if (is_group) {
      return aws::make_asg_fleet(
          *session, {.group = config.aws.auto_scaling_group, .instances_max = std::max(1, config.controller.max)});
    }
    auto options = ec2_fleet_options(config, session->endpoints());
    if (!options) return fail(options.error());
    return aws::make_ec2_fleet(*session, std::move(*options));
  };
  platform.fleet_name = config.aws.fleet;
  platform.how_to_end_instances = is_group ? how_to_end_group(session->region(), config.aws.auto_scaling_group)
                                           : how_to_end_instances(session->region(), config.aws.fleet);
  if ((config.aws.spot || is_group) && session->imds() != nullptr) {
    platform.watch_for_notice = [session, &clock](const auto& on_notice, std::stop_token stop) {
      aws::watch_for_notices(*session->imds(), clock, on_notice, stop);
    };
  }
  return platform;
}

}  // namespace imgrec
