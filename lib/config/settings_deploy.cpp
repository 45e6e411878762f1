#include "lib/config/settings_deploy.hpp"

#include "lib/config/setting_kinds.hpp"
#include "lib/config/settings_aws.hpp"

namespace imgrec {
namespace {

using namespace setting_kinds;

constexpr double kRoundingDollars = 1e-9;

// IPv4 alone: an Elastic IP is an address of it.
bool is_cidr(std::string_view text) {
  const auto slash = text.find('/');
  if (slash == text.npos) return false;
  const auto parts = split(text.substr(0, slash), '.');
  const auto is_number = [](std::string_view digits, int max) {
    const auto value = parse_whole(digits);
    return value && digits.size() <= 3 && *value >= 0 && *value <= max;
  };
  return parts.size() == 4 && std::ranges::all_of(parts, [&](auto part) { return is_number(part, 255); }) &&
         is_number(text.substr(slash + 1), 32);
}

const TextRule kCidrs = {
    "LIST", "ranges of IPv4 addresses with commas between them, such as 203.0.113.7/32",
    [](std::string_view value) { return value.size() <= 4096 && std::ranges::all_of(list_of(value), is_cidr); }};
const TextRule kType = {"TYPE", "an instance type such as t3.small", [](std::string_view value) {
                          return value.empty() || (value.size() <= 64 && value.find('.') != value.npos &&
                                                   is_plain(value, "-.") && !value.starts_with("."));
                        }};
const TextRule kSubnets = {
    "LIST", "ids with commas between them, such as subnet-1a2b,subnet-3c4d", [](std::string_view value) {
      return value.size() <= 4096 && std::ranges::all_of(list_of(value), [](std::string_view one) {
               return one.size() <= 64 && is_plain(one, "-");
             });
    }};
const TextRule kAllocation = {"ID", "an allocation id such as eipalloc-0123456789abcdef0",
                              [](std::string_view value) { return value.size() <= 64 && is_plain(value, "-"); }};
const RealRule kDollars = {"DOLLARS", "a number from 0 to 1000000 (such as 0.0893)", 1e6};

double web_price_of(const Config& config) {
  if (!config.deploy.web) return 0;
  if (config.deploy.web_price > 0) return config.deploy.web_price;
  const std::string& types = config.aws.instance_types;
  return config.controller.price_of(config.deploy.web_type.empty() ? types.substr(0, types.find(','))
                                                                   : config.deploy.web_type);
}

}  // namespace

void add_deploy_settings(std::vector<Setting>& all) {
  const auto at = [](auto member) { return In{&Config::deploy, member}; };
  all.push_back(boolean(
      {"deploy.web", "imgrec deploy makes a machine that runs web and controller, with an address", {}, kConfigCommand},
      at(&DeployConfig::web)));
  all.push_back(text(
      {"deploy.allowed_cidr", "ranges of addresses that may reach that machine; has to be given", {}, kConfigCommand},
      at(&DeployConfig::allowed_cidr), kCidrs));
  all.push_back(
      text({"deploy.web_type", "its instance type; empty: the first of aws.instance_types", {}, kConfigCommand},
           at(&DeployConfig::web_type), kType));
  all.push_back(
      text({"deploy.web_subnets", "its subnets, which lead to the internet; empty: aws.subnets", {}, kConfigCommand},
           at(&DeployConfig::web_subnets), kSubnets));
  all.push_back(real({"deploy.web_price", "dollars an hour of it; 0: as controller.prices", {}, kConfigCommand},
                     at(&DeployConfig::web_price), kDollars));
  all.push_back(text({"deploy.address",
                      "Elastic IP that `imgrec address` takes; the stack says it to that machine",
                      {},
                      kConfigCommand},
                     at(&DeployConfig::address), kAllocation));
  all.push_back(boolean({"deploy.alarms",
                         "alarms of CloudWatch size the Auto Scaling group by the policy alarm; the controller only "
                         "watches",
                         {},
                         kControllerCommand},
                        at(&DeployConfig::alarms)));
  all.push_back(number({"deploy.max_workers",
                        "settings that ask for more workers are refused, by deploy and by the controller; 0: none is",
                        {},
                        kControllerCommand},
                       at(&DeployConfig::max_workers), {0, 1000}));
  all.push_back(real({"deploy.max_dollars_per_hour",
                      "the same for what all machines cost together, at controller.prices and deploy.web_price",
                      {},
                      kControllerCommand},
                     at(&DeployConfig::max_dollars_per_hour), kDollars));
}

double dollars_per_hour_of(const Config& config, int workers_max) {
  return workers_max * config.controller.dearest_price() + web_price_of(config);
}

Result<void> validate_deploy(const Config& config) {
  const auto wrong = [](std::string message) { return fail(ErrorKind::invalid, "bad_setting", std::move(message)); };
  const DeployConfig& deploy = config.deploy;
  const ControllerConfig& controller = config.controller;
  if (deploy.max_workers > 0 && std::max(controller.max, controller.min) > deploy.max_workers) {
    return wrong("controller.max (" + std::to_string(std::max(controller.max, controller.min)) +
                 ") is above deploy.max_workers (" + std::to_string(deploy.max_workers) +
                 "), which nothing may exceed: lower the first, or have the limit raised.");
  }
  return {};
}

Result<void> check_alarms(const Config& config) {
  if (!config.deploy.alarms || (config.aws.fleet_kind == "asg" && config.controller.policy == "alarm")) return {};
  return fail(ErrorKind::invalid, "bad_setting",
              "deploy.alarms has an Auto Scaling group do what the policy alarm says: set aws.fleet_kind = \"asg\" and "
              "controller.policy = \"alarm\" with it.");
}

Result<void> check_cost_limit(const Config& config, int workers_max) {
  const double limit = config.deploy.max_dollars_per_hour;
  if (limit <= 0) return {};
  const auto wrong = [](std::string message) { return fail(ErrorKind::invalid, "bad_setting", std::move(message)); };
  if (config.controller.dearest_price() <= 0) {
    return wrong(
        "deploy.max_dollars_per_hour needs controller.prices or controller.price: what a worker machine costs an "
        "hour.");
  }
  const double dollars = dollars_per_hour_of(config, workers_max);
  if (dollars <= limit + kRoundingDollars) return {};
  return wrong("The machines may cost " + format_fraction(dollars) + " dollars an hour (" +
               std::to_string(workers_max) + " workers" + (config.deploy.web ? " and the web instance" : "") +
               "), and deploy.max_dollars_per_hour is " + format_fraction(limit) +
               ": lower controller.max or controller.max_dollars_per_hour.");
}

}  // namespace imgrec
