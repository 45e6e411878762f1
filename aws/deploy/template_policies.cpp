#include "aws/deploy/template_policies.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "lib/base/text.hpp"

namespace imgrec::aws {
namespace {

using Json = nlohmann::ordered_json;
using Words = std::vector<std::pair<std::string_view, std::string>>;

// In one pass, so that no replacement is taken for a word.
std::string replace_words(std::string_view text, const Words& words) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const auto found =
        std::ranges::find_if(words, [&](const auto& word) { return text.substr(at).starts_with(word.first); });
    out += found == words.end() ? std::string(1, text[at]) : found->second;
    at += found == words.end() ? 1 : found->first.size();
  }
  return out;
}

std::string without_fifo(std::string name) {
  if (name.ends_with(".fifo")) name.resize(name.size() - std::string_view(".fifo").size());
  return name;
}

// The queues' names in the policies are the defaults of the settings.
std::string with_queue_name(const std::string& arn, const QueueConfig& queue) {
  const QueueConfig usual;
  const std::pair<std::string, std::string> names[] = {
      {usual.request, queue.request},
      {usual.dead_letter, queue.dead_letter},
      {usual.shutdown_request, queue.shutdown_request},
      {usual.shutdown_confirmed, queue.shutdown_confirmed},
      {usual.signals, queue.signals},
  };
  const auto start = arn.rfind(':') + 1;
  const std::string before = arn.substr(0, start), name = arn.substr(start), bare = without_fifo(name);
  if (name == usual.response_prefix + "-*") return before + queue.response_prefix + "-*";
  for (const auto& [from, to] : names) {
    if (bare != without_fifo(from)) continue;
    return to.empty() ? "" : before + without_fifo(to) + name.substr(bare.size());
  }
  return arn;
}

// The keys in the policies are those of settings without prefixes.
std::string with_key_prefix(const std::string& arn, const Config& config) {
  const auto insert = [&](std::string_view bucket, const std::string& prefix) -> std::string {
    const auto at = arn.find(bucket) + bucket.size();
    if (at == arn.size()) return arn;  // the bucket itself
    std::string key = arn.substr(at + 1);
    const std::string named = ResultsConfig().prefix;
    if (key.starts_with(named)) key = config.results.prefix + key.substr(named.size());
    return arn.substr(0, at + 1) + prefix + key;
  };
  if (arn.find("INPUT_BUCKET") != arn.npos) return insert("INPUT_BUCKET", config.aws.input_prefix);
  if (arn.find("OUTPUT_BUCKET") != arn.npos) return insert("OUTPUT_BUCKET", config.aws.output_prefix);
  return arn;
}

// A text with CloudFormation's own parameters in it is one for Fn::Sub.
Json as_json(const std::string& text, const Words& words) {
  std::string out = replace_words(text, words);
  if (out.find("${AWS::") == out.npos) return out;
  return Json{{"Fn::Sub", std::move(out)}};
}

Json replaced(const Json& value, const Words& words) {
  if (value.is_string()) return as_json(value.get<std::string>(), words);
  if (!value.is_structured()) return value;
  Json out = value.is_array() ? Json::array() : Json::object();
  for (const auto& [key, member] : value.items()) {
    if (value.is_array())
      out.push_back(replaced(member, words));
    else
      out[key] = replaced(member, words);
  }
  return out;
}

Result<std::vector<std::string>> key_ids(const AwsConfig& aws) {
  std::vector<std::string> out;
  for (const std::string& key : {aws.sqs_kms_key, aws.s3_kms_key}) {
    if (key.empty()) continue;
    if (key.starts_with("alias/") || key.find(":alias/") != key.npos) {
      return fail(ErrorKind::invalid, "kms_alias",
                  "The key " + json_quote(key) + " is an alias, and policies name keys: give its id or its ARN.");
    }
    std::string id = key.substr(key.rfind('/') + 1);
    if (std::ranges::find(out, id) == out.end()) out.push_back(std::move(id));
  }
  return out;
}

bool is_left_out(const std::string& sid, const Config& config, PolicyOf who) {
  const auto is_one_of = [&](std::initializer_list<std::string_view> sids) {
    return std::ranges::find(sids, sid) != sids.end();
  };
  const bool is_group = config.aws.fleet_kind == "asg";
  // CloudFormation launches what a group launches, which is the other way round with a controller.
  if (who == PolicyOf::stack) {
    if (is_one_of({"SizeTheGroup", "LaunchOwnFleetOnly"})) return !is_group;
    if (sid == "AlarmsOfTheGroup") return !config.deploy.alarms;
    if (is_one_of({"SizeTheWebGroup", "LaunchWebInstance"})) return !config.deploy.web;
    return !is_group && !config.deploy.web && is_one_of({"RoleOfAutoScaling", "LaunchFromAnything", "TagAtLaunchOnly"});
  }
  if (!config.deploy.web && is_one_of({"EndTheWebInstance", "ReadTheWebInstance"})) return true;
  if (!is_group && is_one_of({"SeeTheGroup", "SizeTheGroup"})) return true;
  if (config.deploy.alarms && who == PolicyOf::role && sid == "SizeTheGroup") return true;  // the controller watches
  if (is_group && who == PolicyOf::role &&
      is_one_of({"LaunchFromAnything", "LaunchOwnFleetOnly", "TagAtLaunchOnly", "GiveWorkersTheirRoleOnly",
                 "EndOwnFleetOnly"})) {
    return true;
  }
  return sid == "UseTheKey" && config.aws.sqs_kms_key.empty() && config.aws.s3_kms_key.empty();
}

// The resources of a statement, each once. One that was a single text stays one.
Json resources_of(const Json& statement, const Config& config, const std::vector<std::string>& keys, Words words) {
  const Json& given = statement["Resource"];
  const Json list = given.is_array() ? given : Json::array({given});
  Json out = Json::array();
  const auto add = [&](const std::string& text) {
    Json one = as_json(text, words);
    if (std::find(out.begin(), out.end(), one) == out.end()) out.push_back(std::move(one));
  };
  for (const Json& entry : list) {
    std::string arn = entry.get<std::string>();
    if (arn.starts_with("arn:*:sqs:")) arn = with_queue_name(arn, config.queue);
    if (arn.starts_with("arn:*:s3:")) arn = with_key_prefix(arn, config);
    if (arn.empty()) continue;
    if (arn.find("KMS_KEY") == arn.npos) {
      add(arn);
      continue;
    }
    for (const std::string& key : keys) {
      words.emplace_back("KMS_KEY", key);
      add(arn);
      words.pop_back();
    }
  }
  return out.size() == 1 && !given.is_array() ? out.front() : out;
}

}  // namespace

std::string stack_name_of(const Config& config, std::string_view role) {
  return config.aws.fleet + "-" + std::string(role);
}

Result<std::string> render_policy(std::string_view policy, const Config& config, const TemplateInputs& inputs,
                                  const PolicyUse& use) {
  const auto keys = key_ids(config.aws);
  if (!keys) return fail(keys.error());
  const Words words = {{"REGION", use.region},
                       {"ACCOUNT_ID", use.account},
                       {"INPUT_BUCKET", inputs.input_bucket},
                       {"OUTPUT_BUCKET", inputs.output_bucket},
                       {"BUNDLE_BUCKET", inputs.bundle_bucket},
                       {"FLEET", config.aws.fleet},
                       {"WORKER_ROLE", stack_name_of(config, "worker")},
                       {"AUTO_SCALING_GROUP", config.aws.auto_scaling_group},
                       {"ALLOCATION_ID", "${WebAddress.AllocationId}"}};
  const Json document = Json::parse(policy);
  Json statements = Json::array();
  for (const Json& statement : document["Statement"]) {
    if (is_left_out(statement["Sid"].get<std::string>(), config, use.who)) continue;
    Json out = replaced(statement, words);
    out["Resource"] = resources_of(statement, config, *keys, words);
    if (!out["Resource"].empty()) statements.push_back(std::move(out));
  }
  return Json{{"Version", document["Version"]}, {"Statement", std::move(statements)}}.dump();
}

}  // namespace imgrec::aws
