#include "lib/config/settings_aws.hpp"

#include <algorithm>
#include <set>

#include "lib/config/setting_kinds.hpp"

namespace imgrec {
namespace {

using namespace setting_kinds;

constexpr unsigned kRoles = kWebCommand | kWorkerCommand | kControllerCommand;

bool is_lower(std::string_view text, std::string_view also) {
  return is_plain(text, also) && std::ranges::none_of(text, [](char c) { return c >= 'A' && c <= 'Z'; });
}

bool every(std::string_view list, bool (*accepts)(std::string_view)) {
  return list.size() <= 4096 && std::ranges::all_of(list_of(list), accepts);
}

bool is_url(std::string_view text) {
  const auto rest = text.starts_with("https://")  ? text.substr(8)
                    : text.starts_with("http://") ? text.substr(7)
                                                  : std::string_view();
  return !rest.empty() && text.size() <= 512 && is_plain(rest, "-._~:/%[]");
}

const TextRule kRegion = {"REGION", "a region such as us-east-1",
                          [](std::string_view value) { return value.size() <= 32 && is_lower(value, "-"); }};
const TextRule kUrl = {"URL", "an address such as https://sqs.example.org:9324",
                       [](std::string_view value) { return value.empty() || is_url(value); }};
const TextRule kProxy = {
    "URL", "an address such as http://proxy.example.org:3128", [](std::string_view value) {
      if (value.empty()) return true;
      // With a user and a password it is refused below, without being shown.
      const auto at = value.rfind('@'), host = value.find("://");
      return host != value.npos && (at == value.npos || at > host)
                 ? is_url(at == value.npos ? std::string(value) : "http://" + std::string(value.substr(at + 1)))
                 : false;
    }};
const TextRule kHosts = {
    "LIST", "names and addresses with commas between them, such as .example.org,10.0.0.0/8",
    [](std::string_view value) {
      return every(value, [](std::string_view one) { return one.size() <= 255 && is_plain(one, "-_.:/*[]"); });
    }};
const TextRule kWorkerFile = {
    "PATH", "an absolute path of A-Z a-z 0-9 - _ . + and /, outside /home, /root and /tmp", [](std::string_view value) {
      if (value.empty()) return true;
      // The workers' unit hides these folders from its process.
      for (const std::string_view hidden : {"/home/", "/root/", "/run/user/", "/tmp/", "/var/tmp/"}) {
        if (value.starts_with(hidden)) return false;
      }
      return value.size() <= 255 && value.front() == '/' && is_plain(value, "-_.+/");
    }};
const TextRule kSetup = {"HOW", "create, check or use", [](std::string_view value) {
                           return value == "create" || value == "check" || value == "use";
                         }};
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html (the rest of them: aws/endpoints)
const TextRule kBucket = {"BUCKET", "3 to 63 small letters, digits, hyphens and dots", [](std::string_view value) {
                            return value.empty() || (value.size() >= 3 && value.size() <= 63 && is_lower(value, "-."));
                          }};
const TextRule kKey = {"KEY", "parts of A-Z a-z 0-9 - _ . with slashes between them",
                       [](std::string_view value) { return is_key(value) && !value.ends_with("/"); }};
const TextRule kFleetKind = {"KIND", "ec2 or asg",
                             [](std::string_view value) { return value == "ec2" || value == "asg"; }};
const TextRule kSha256 = {"SHA256", "64 hex digits in small letters", [](std::string_view value) {
                            return value.empty() || (value.size() == 64 && std::ranges::all_of(value, [](char c) {
                                                       return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
                                                     }));
                          }};
const TextRule kId = {"ID", "up to 255 of the characters A-Z a-z 0-9 - _ . : / + = , @ ( )",
                      [](std::string_view value) { return value.size() <= 255 && is_plain(value, "-_.:/+=,@()$"); }};
const TextRule kImage = {"ID", "an image's id such as ami-0123456789abcdef0, or resolve:ssm: and a parameter's name",
                         [](std::string_view value) {
                           if (value.starts_with("resolve:ssm:")) {
                             return value.size() > 12 && value.size() <= 255 && is_plain(value, "-_.:/");
                           }
                           return value.empty() ||
                                  (value.starts_with("ami-") && value.size() <= 64 && is_lower(value, "-"));
                         }};
const TextRule kTypes = {"LIST", "instance types with commas between them, such as c7i.large,c7a.large",
                         [](std::string_view value) {
                           return every(value, [](std::string_view one) {
                             return one.size() <= 64 && one.find('.') != one.npos && is_lower(one, "-.");
                           });
                         }};
const TextRule kIds = {
    "LIST", "ids with commas between them, such as subnet-1a2b,subnet-3c4d", [](std::string_view value) {
      return every(value, [](std::string_view one) { return one.size() <= 64 && is_lower(one, "-"); });
    }};
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html; commas separate ours.
const TextRule kTags = {
    "LIST", "name=value with commas between them, such as team=vision,stage=test", [](std::string_view value) {
      return every(value, [](std::string_view one) {
        const auto equals = one.find('=');
        return equals != one.npos && equals > 0 && equals <= 128 && one.size() <= 128 + 257 &&
               !one.starts_with("aws:") && !one.starts_with("imgrec:") && is_plain(one, " +-=._:/@");
      });
    }};

void add_services(std::vector<Setting>& all, auto at) {
  all.push_back(text({"aws.region", "region; empty: as AWS_REGION or the profile says", {"--region"}, kRoles},
                     at(&AwsConfig::region), kRegion));
  all.push_back(text({"aws.endpoint_url",
                      "address of every service; empty: AWS's own, or as AWS_ENDPOINT_URL says",
                      {"--endpoint-url"},
                      kRoles},
                     at(&AwsConfig::endpoint_url), kUrl));
  all.push_back(
      text({"aws.sqs_endpoint_url", "address of SQS alone", {}, kRoles}, at(&AwsConfig::sqs_endpoint_url), kUrl));
  all.push_back(
      text({"aws.s3_endpoint_url", "address of S3 alone", {}, kRoles}, at(&AwsConfig::s3_endpoint_url), kUrl));
  all.push_back(text({"aws.ec2_endpoint_url", "address of EC2 alone", {}, kControllerCommand},
                     at(&AwsConfig::ec2_endpoint_url), kUrl));
  all.push_back(text({"aws.queues",
                      "create: make queues that are not there; check: refuse to start without them; use: ask nothing",
                      {},
                      kRoles},
                     at(&AwsConfig::queues), kSetup));
  all.push_back(
      text({"aws.buckets", "create, check or use: the same for buckets", {}, kRoles}, at(&AwsConfig::buckets), kSetup));
  all.push_back(text({"aws.input_bucket", "bucket of the images", {"--input-bucket"}, kRoles},
                     at(&AwsConfig::input_bucket), kBucket));
  all.push_back(text({"aws.output_bucket", "bucket of the results; empty: the images'", {"--output-bucket"}, kRoles},
                     at(&AwsConfig::output_bucket), kBucket));
  all.push_back(
      text({"aws.sqs_kms_key", "key of KMS (id, ARN or alias) that encrypts the queues; empty: SQS's own", {}, kRoles},
           at(&AwsConfig::sqs_kms_key), kId));
  all.push_back(text(
      {"aws.s3_kms_key", "key of KMS (id, ARN or alias) that encrypts objects; empty: as the bucket says", {}, kRoles},
      at(&AwsConfig::s3_kms_key), kId));
  all.push_back(
      text({"aws.input_prefix", "before the keys of images", {}, kRoles}, at(&AwsConfig::input_prefix), kPrefix));
  all.push_back(
      text({"aws.output_prefix", "before the keys of results", {}, kRoles}, at(&AwsConfig::output_prefix), kPrefix));
}

void add_instances(std::vector<Setting>& all, auto at) {
  const auto one = [&](Words words, auto member, const TextRule& rule) {
    words.commands = kControllerCommand;
    all.push_back(text(words, at(member), rule));
  };
  one({"aws.fleet", "value of the tag imgrec:fleet, by which the controller knows its instances"}, &AwsConfig::fleet,
      kFilledWord);
  all.push_back(text({"aws.fleet_kind",
                      "ec2: the controller launches instances; asg: it sets the size of an Auto Scaling group",
                      {},
                      kControllerCommand | kWorkerCommand},
                     at(&AwsConfig::fleet_kind), kFleetKind));
  one({"aws.auto_scaling_group", "name of that group, whose launch template the settings below do not touch"},
      &AwsConfig::auto_scaling_group, kId);
  one({"aws.launch_template", "launch template of the instances, id or name; the settings below override it"},
      &AwsConfig::launch_template, kId);
  one({"aws.launch_template_version", "its version: a number, $Latest or $Default; empty: $Default"},
      &AwsConfig::launch_template_version, kId);
  one({"aws.image_id", "machine image (ami-…), a Debian 12"}, &AwsConfig::image_id, kImage);
  one({"aws.prebaked_image",
       "image with the bundle in it (imgrec deploy --prebaked), which workers start from instead"},
      &AwsConfig::prebaked_image, kImage);
  one({"aws.instance_types", "instance types, tried in turn where capacity lacks"}, &AwsConfig::instance_types, kTypes);
  one({"aws.subnets", "subnets, tried in turn; empty: the default VPC's"}, &AwsConfig::subnets, kIds);
  one({"aws.zones", "zones (us-east-1a), tried in turn in the default VPC; only without subnets"}, &AwsConfig::zones,
      kIds);
  one({"aws.security_groups", "security groups; empty: the VPC's default"}, &AwsConfig::security_groups, kIds);
  one({"aws.instance_profile", "instance profile (name or ARN) whose role the workers have"},
      &AwsConfig::instance_profile, kId);
  one({"aws.key_name", "key pair for ssh; empty: none"}, &AwsConfig::key_name, kId);
  all.push_back(text({"aws.tags",
                      "tags of what is made (queues, buckets, instances and their volumes): name=value,…",
                      {},
                      kWebCommand | kControllerCommand},
                     at(&AwsConfig::tags), kTags));
  all.push_back(boolean({"aws.spot",
                         "Spot instances: cheaper, and taken back with two minutes' notice",
                         {"--spot"},
                         kControllerCommand | kWorkerCommand},
                        at(&AwsConfig::spot)));
  all.push_back(number({"aws.worker_threads", "images at a time per instance; 0: its cores", {}, kControllerCommand},
                       at(&AwsConfig::worker_threads), {0, 1024}));
  all.push_back(number({"aws.worker_memory_percent",
                        "part of an instance's memory that its worker may use; more ends the worker",
                        {},
                        kControllerCommand},
                       at(&AwsConfig::worker_memory_percent), {10, 100}));
  all.push_back(boolean({"aws.poweroff_on_exit",
                         "an instance whose worker has ended, or could not be started, ends itself",
                         {},
                         kControllerCommand},
                        at(&AwsConfig::poweroff_on_exit)));
  one({"aws.worker_proxy", "proxy by which workers reach AWS, without user and password; empty: none"},
      &AwsConfig::worker_proxy, kProxy);
  one({"aws.worker_no_proxy", "hosts that workers reach without it, such as those of VPC endpoints"},
      &AwsConfig::worker_no_proxy, kHosts);
  one({"aws.worker_ca_bundle",
       "file of the workers' machine image with the only certificate authorities that they trust; empty: the image's "
       "own"},
      &AwsConfig::worker_ca_bundle, kWorkerFile);
  one({"aws.bundle_bucket", "bucket of the bundle that instances install; empty: the images'"},
      &AwsConfig::bundle_bucket, kBucket);
  one({"aws.bundle_key", "the bundle (imgrec bundle upload); empty: the image or the launch template starts workers"},
      &AwsConfig::bundle_key, kKey);
  one({"aws.bundle_sha256", "the bundle's SHA-256: instances install nothing else"}, &AwsConfig::bundle_sha256,
      kSha256);
}

}  // namespace

void add_aws_settings(std::vector<Setting>& all) {
  const auto at = [](auto member) { return In{&Config::aws, member}; };
  add_services(all, at);
  add_instances(all, at);
}

Result<void> validate_aws(const AwsConfig& aws) {
  if (!list_of(aws.subnets).empty() && !list_of(aws.zones).empty()) {
    return fail(ErrorKind::invalid, "bad_setting",
                "aws.subnets and aws.zones exclude each other: a subnet is in a zone.");
  }
  if (aws.worker_proxy.find('@') != std::string::npos) {
    return fail(
        ErrorKind::invalid, "bad_setting",
        "aws.worker_proxy has a user or a password in it: it becomes part of the instances' user-data, which many "
        "may read. Let the proxy know the workers by their addresses, and give http://HOST:PORT.");
  }
  std::set<std::string> names;
  for (const std::string& tag : list_of(aws.tags)) {
    const std::string name = tag.substr(0, tag.find('='));
    if (!names.insert(name).second) {
      return fail(ErrorKind::invalid, "bad_setting", "aws.tags has " + json_quote(name) + " twice: give it one value.");
    }
  }
  return {};
}

const std::string& worker_image(const AwsConfig& aws) {
  return aws.prebaked_image.empty() ? aws.image_id : aws.prebaked_image;
}

std::vector<std::string> list_of(std::string_view text) {
  std::vector<std::string> out;
  for (const std::string_view part : split(text, ',')) {
    if (const auto word = trim(part); !word.empty()) out.emplace_back(word);
  }
  return out;
}

}  // namespace imgrec
