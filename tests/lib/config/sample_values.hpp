// For each setting a value that is allowed and not its default.
#pragma once

#include <map>
#include <stdexcept>
#include <string>

#include "lib/config/settings.hpp"

namespace imgrec::test {

inline std::string other_value(const Setting& setting) {
  static const std::map<std::string, std::string> kTexts = {{"platform", "aws"},
                                                            {"log.level", "debug"},
                                                            {"log.format", "json"},
                                                            {"model.labels", "reference"},
                                                            {"web.bind", "::1"},
                                                            {"metrics.bind", "::1"},
                                                            {"metrics.port", "9100"},
                                                            {"metrics.dir", "/run/imgrec"},
                                                            {"state_dir", "/srv/a folder"},
                                                            {"model.engine", "opencv"},
                                                            {"model.precision", "int8"},
                                                            {"image.truncated", "accept"},
                                                            {"image.object_buckets", "photos,scans.2026"},
                                                            {"model.agreement_min", "0.5"},
                                                            {"results.layout", "pair"},
                                                            {"results.key", "timestamp-name"},
                                                            {"web.hosts", "a.example,b"},
                                                            {"web.public_url", "https://photos.example"},
                                                            {"web.trusted_proxies", "10.0.0.7,::1"},
                                                            {"web.keys_file", "/etc/imgrec/keys.json"},
                                                            {"web.cors_origins", "https://app.example"},
                                                            {"web.tls_certificate", "/etc/imgrec/chain.pem"},
                                                            {"web.tls_key", "/etc/imgrec/key.pem"},
                                                            {"model.dir", "/srv/models"},
                                                            {"local.worker_executable", "/opt/other"},
                                                            {"local.boot_delay", "8s..15s"},
                                                            {"aws.fleet_kind", "asg"},
                                                            {"aws.image_id", "ami-0123456789abcdef0"},
                                                            {"aws.prebaked_image", "ami-0123456789abcdef0"},
                                                            {"aws.instance_types", "c7i.large,c7a.large"},
                                                            {"controller.prices", "c7a.large=0.0821,c7i.large=0.0893"},
                                                            {"aws.subnets", "subnet-1a,subnet-2b"},
                                                            {"aws.zones", "us-east-1a,us-east-1b"},
                                                            {"aws.security_groups", "sg-1a,sg-2b"},
                                                            {"aws.tags", "team=vision,stage=test"},
                                                            {"aws.worker_proxy", "http://10.0.0.9:3128"},
                                                            {"aws.worker_no_proxy", "a.example,b"},
                                                            {"aws.worker_ca_bundle", "/etc/ssl/own.pem"},
                                                            {"deploy.allowed_cidr", "203.0.113.7/32,10.0.0.0/8"},
                                                            {"deploy.web_type", "t3.small"},
                                                            {"deploy.web_subnets", "subnet-1a,subnet-2b"}};
  if (const auto text = kTexts.find(setting.key); text != kTexts.end()) return text->second;
  if (setting.is_switch) return setting.get(Config()) == "true" ? "false" : "true";
  if (setting.value_name == "SIZE") {
    Config config;
    return setting.set(config, "100MiB") ? "100MiB" : "32KiB";  // some are limited to less
  }
  if (setting.value_name == "DURATION") {
    Config config;
    return setting.set(config, "17m") ? "17m" : "3s";  // some are limited to seconds
  }
  if (setting.value_name == "NUMBER") return "77";
  if (setting.value_name == "DOLLARS") return "0.0893";
  if (setting.value_name == "NAME") return "another-name";
  if (setting.value_name == "REGION") return "eu-central-1";
  if (setting.value_name == "URL") return "http://127.0.0.1:5000";
  if (setting.value_name == "HOW") return "check";
  if (setting.value_name == "BUCKET") return "another-bucket";
  if (setting.value_name == "PREFIX") return "team/imgrec/";
  if (setting.value_name == "KEY") return "bundles/imgrec.tar.gz";
  if (setting.value_name == "SHA256") return std::string(64, 'a');
  if (setting.value_name == "ID") return "id-0123";
  throw std::logic_error("no sample value for " + setting.key);
}

}  // namespace imgrec::test
