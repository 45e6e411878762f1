#include "cmd/platform/user_data.hpp"

#include <algorithm>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "aws/client/uri.hpp"
#include "cmd/platform/architecture.hpp"
#include "cmd/platform/platforms.hpp"
#include "lib/base/text.hpp"
#include "lib/config/settings.hpp"
#include "lib/config/settings_aws.hpp"

namespace imgrec {
namespace {

constexpr const char* kModelFolder = "/opt/imgrec/models";  // where the bundle has its models
constexpr const char* kStateFolder = "/var/lib/imgrec";     // the unit's StateDirectory
constexpr Seconds kStopMargin{30};                          // beyond the drain, before systemd kills

// An instance's own, or made explicit below.
bool is_left_out(const std::string& key) {
  constexpr std::string_view kKeys[] = {"platform", "state_dir", "worker.id", "worker.app_tier_id"};
  return std::ranges::find(kKeys, key) != std::end(kKeys);
}

std::string toml_value(const Setting& setting, const Config& config) {
  const std::string value = setting.get(config);
  const bool is_bare = setting.is_switch || setting.value_name == "NUMBER" || setting.value_name == "FRACTION";
  return is_bare ? value : json_quote(value);  // TOML's basic strings have JSON's escapes
}

using Replacement = std::pair<std::string_view, std::string>;

// Each line of a text that goes in at a placeholder is indented as the placeholder is.
std::string fill(std::string_view text, std::span<const Replacement> replacements) {
  std::string out;
  for (std::string_view line : split(text, '\n')) {
    const auto found = std::ranges::find_if(
        replacements, [&](const Replacement& one) { return line.find(one.first) != std::string_view::npos; });
    if (found == replacements.end()) {
      out += std::string(line) + "\n";
      continue;
    }
    const auto at = line.find(found->first);
    const std::string before(line.substr(0, at)), after(line.substr(at + found->first.size()));
    const bool is_block = trim(before).empty() && after.empty();
    if (!is_block) {
      out += before + found->second + after + "\n";
      continue;
    }
    std::string_view inserted = found->second;
    while (inserted.ends_with('\n')) inserted.remove_suffix(1);
    for (const std::string_view part : split(inserted, '\n')) {
      out += part.empty() ? "\n" : before + std::string(part) + "\n";
    }
  }
  while (out.ends_with("\n\n")) out.pop_back();
  return out;
}

std::string no_proxy(const Config& config) {
  std::string out;
  for (const std::string& host : list_of(config.aws.worker_no_proxy)) out += (out.empty() ? "" : ",") + host;
  return out;
}

// Of the worker's process: what AWS's endpoints, proxies and authorities are is no setting of ours.
std::string unit_environment(const Config& config, const aws::EndpointSettings& endpoints) {
  std::vector<std::pair<std::string, std::string>> variables;
  if (!config.aws.worker_proxy.empty()) {
    for (const char* name : {"http_proxy", "https_proxy"}) variables.emplace_back(name, config.aws.worker_proxy);
    variables.emplace_back("no_proxy", no_proxy(config));
  }
  variables.emplace_back("AWS_CA_BUNDLE", config.aws.worker_ca_bundle);
  variables.emplace_back("AWS_USE_FIPS_ENDPOINT", endpoints.fips ? "true" : "");
  variables.emplace_back("AWS_USE_DUALSTACK_ENDPOINT", endpoints.dualstack ? "true" : "");
  std::string out;
  for (const auto& [name, value] : variables) {
    if (value.empty()) continue;
    out += "Environment=\"" + name + "=";
    for (const char c : value)
      out += c == '%' ? std::string("%%") : std::string(1, c);  // systemd's specifiers begin so
    out += "\"\n";
  }
  return out;
}

// Comments are for who reads the file here: user-data has a limit.
std::string without_comments(std::string_view text) {
  std::string out;
  for (const std::string_view line : split(text, '\n')) {
    if (!line.starts_with('#')) out += std::string(line) + "\n";
  }
  return out;
}

std::string worker_unit(const Config& config, const aws::EndpointSettings& endpoints) {
  const auto drain = std::chrono::ceil<Seconds>(config.worker.drain_timeout);
  const Replacement replacements[] = {
      {"<ACTIONS>", config.aws.poweroff_on_exit ? "SuccessAction=poweroff\nFailureAction=poweroff" : ""},
      {"<ENVIRONMENT>", unit_environment(config, endpoints)},
      {"<DRAIN>", std::to_string(drain.count())},
      {"<STOP>", std::to_string((drain + kStopMargin).count())},
      {"<MEMORY>", std::to_string(config.aws.worker_memory_percent)}};
  return fill(without_comments(kWorkerUnitTemplate), replacements);
}

std::string as_yaml_list(const std::vector<std::string>& words) {
  std::string out = "[";
  for (const std::string& word : words) out += (out.size() > 1 ? ", " : "") + json_quote(word);
  return out + "]";
}

Result<std::string> bundle_url(const Config& config, const aws::EndpointSettings& endpoints) {
  if (config.aws.bundle_key.empty() || config.aws.bundle_sha256.empty()) {
    return fail(
        ErrorKind::invalid, "no_bundle",
        "Nothing says what the instances install: make a bundle with `./dev bundle`, put it into S3 with `imgrec "
        "bundle upload`, and set aws.bundle_key and aws.bundle_sha256 to what that prints.");
  }
  const auto buckets = aws_buckets(config.aws);
  if (!buckets) return fail(buckets.error());
  const auto endpoint = aws::bucket_endpoint(endpoints, buckets->bundle);
  if (!endpoint) return fail(endpoint.error());
  return endpoint->scheme + "://" + endpoint->authority + endpoint->base_path + "/" +
         aws::uri_encode(config.aws.bundle_key, aws::Slash::keep);
}

// powers_off: a machine that cannot be installed ends itself.
Result<std::vector<std::string>> install_command(const Config& config, const aws::EndpointSettings& endpoints,
                                                 bool powers_off) {
  const auto url = bundle_url(config, endpoints);
  if (!url) return fail(url.error());
  if (const auto fitting = check_architecture(config); !fitting) return fail(fitting.error());
  if (config.model.labels.find('/') != std::string::npos) {
    return fail(
        ErrorKind::invalid, "labels_elsewhere",
        "model.labels is a file of this machine, which instances do not have: give the labels to the model with "
        "`imgrec model import --labels`, and make the bundle anew.");
  }
  std::vector<std::string> command = {
      "/usr/bin/python3", "/usr/local/sbin/imgrec-install", "--url", *url, "--region", endpoints.region,
      "--sha256",         config.aws.bundle_sha256};
  if (powers_off) command.emplace_back("--poweroff");
  if (!config.aws.worker_proxy.empty()) {
    command.insert(command.end(), {"--proxy", config.aws.worker_proxy, "--no-proxy", no_proxy(config)});
  }
  if (!config.aws.worker_ca_bundle.empty()) {
    command.insert(command.end(), {"--ca-bundle", config.aws.worker_ca_bundle});
  }
  return command;
}

Result<std::string> within_limit(std::string user_data) {
  if (user_data.size() <= kUserDataBytesMax) return user_data;
  return fail(ErrorKind::invalid, "user_data_too_large",
              "The user-data has " + std::to_string(user_data.size()) + " bytes, and EC2 takes " +
                  std::to_string(kUserDataBytesMax) +
                  ": fewer or shorter settings have to differ from their defaults.");
}

// Where a machine of a stack has what, and what it need not find out.
void set_up_machine(Config& config, const aws::EndpointSettings& endpoints) {
  config.state_dir = kStateFolder;
  config.model.dir = kModelFolder;
  config.aws.region = endpoints.region;
  const auto endpoint = [&](const char* service) {
    const auto found = endpoints.overrides.find(service);
    return found == endpoints.overrides.end() ? std::string() : found->second;
  };
  config.aws.endpoint_url = endpoint("");
  config.aws.sqs_endpoint_url = endpoint("sqs");
  config.aws.s3_endpoint_url = endpoint("s3");
  // What the stack, the controller or the web nodes have made or checked.
  config.aws.queues = config.aws.buckets = "use";
}

// A TOML file with the settings that are wanted and differ from their defaults.
std::string settings_file(const Config& config, const std::function<bool(const Setting&)>& is_wanted) {
  std::string out = "platform = \"aws\"\nstate_dir = \"" + config.state_dir + "\"\n";
  std::string section;
  for (const Setting& setting : settings()) {
    const std::string value = setting.get(config);
    if (!is_wanted(setting) || is_left_out(setting.key) || value == setting.get(Config())) continue;
    const auto dot = setting.key.find('.');
    const std::string own = setting.key.substr(0, dot);
    if (own != section) out += "[" + (section = own) + "]\n";
    out += setting.key.substr(dot + 1) + " = " + toml_value(setting, config) + "\n";
  }
  return out;
}

std::string web_unit(const Config& config, const aws::EndpointSettings& endpoints) {
  const auto drain = std::chrono::ceil<Seconds>(config.web.drain_timeout);
  const Replacement replacements[] = {{"<ENVIRONMENT>", unit_environment(config, endpoints)},
                                      {"<DRAIN>", std::to_string(drain.count())},
                                      {"<STOP>", std::to_string((drain + kStopMargin).count())}};
  return fill(without_comments(kWebUnitTemplate), replacements);
}

// Of the stack's machine that runs web and controller.
std::string web_settings(const Config& config, const aws::EndpointSettings& endpoints, const WebInstance& instance) {
  Config web = config;
  set_up_machine(web, endpoints);
  const auto found = endpoints.overrides.find("ec2");
  web.aws.ec2_endpoint_url = found == endpoints.overrides.end() ? std::string() : found->second;
  web.web.bind = "0.0.0.0";
  web.worker.threads = 0;
  web.deploy.address = instance.address;
  // What the stack's template says of workers is not said again.
  web.aws.launch_template = instance.launch_template;
  web.aws.launch_template_version = "$Latest";
  web.aws.image_id = web.aws.prebaked_image = web.aws.security_groups = web.aws.instance_profile = web.aws.key_name =
      "";
  return settings_file(web, [](const Setting& setting) {
    return (setting.commands & (kWebCommand | kControllerCommand | kWorkerCommand)) != 0 ||
           setting.key == "deploy.address" || setting.key == "deploy.web_price";
  });
}

}  // namespace

std::string worker_settings(const Config& config, const aws::EndpointSettings& endpoints) {
  Config worker = config;
  set_up_fleet_worker(worker);
  set_up_machine(worker, endpoints);
  worker.worker.threads = config.aws.worker_threads;
  return settings_file(worker, [](const Setting& setting) { return (setting.commands & kWorkerCommand) != 0; });
}

Result<std::string> worker_user_data(const Config& config, const aws::EndpointSettings& endpoints) {
  const auto command = install_command(config, endpoints, config.aws.poweroff_on_exit);
  if (!command) return fail(command.error());
  const Replacement replacements[] = {{"<WORKER_TOML>", worker_settings(config, endpoints)},
                                      {"<UNIT>", worker_unit(config, endpoints)},
                                      {"<INSTALLER>", std::string(kInstaller)},
                                      {"<COMMAND>", as_yaml_list(*command)}};
  return within_limit(fill(kUserDataTemplate, replacements));
}

Result<std::string> builder_user_data(const Config& config, const aws::EndpointSettings& endpoints) {
  auto command = install_command(config, endpoints, false);  // the script powers it off, after it has said why
  if (!command) return fail(command.error());
  command->insert(command->begin(), {"/bin/sh", "/usr/local/sbin/imgrec-bake"});
  command->emplace_back("--bake");
  const Replacement replacements[] = {{"<INSTALLER>", std::string(kInstaller)},
                                      {"<BAKER>", std::string(kBaker)},
                                      {"<COMMAND>", as_yaml_list(*command)}};
  return within_limit(fill(kBuilderTemplate, replacements));
}

Result<std::string> web_user_data(const Config& config, const aws::EndpointSettings& endpoints,
                                  const WebInstance& instance) {
  auto command = install_command(config, endpoints, true);  // its group makes another then
  if (!command) return fail(command.error());
  command->insert(command->end(),
                  {"--unit", "imgrec@address.service", "imgrec@web.service", "imgrec@controller.service"});
  const Replacement replacements[] = {{"<SETTINGS>", web_settings(config, endpoints, instance)},
                                      {"<UNIT>", web_unit(config, endpoints)},
                                      {"<INSTALLER>", std::string(kInstaller)},
                                      {"<COMMAND>", as_yaml_list(*command)}};
  return within_limit(fill(kWebUserDataTemplate, replacements));
}

}  // namespace imgrec
