#include "cmd/platform/architecture.hpp"

#include <array>
#include <string>
#include <vector>

#include "lib/config/settings_aws.hpp"

namespace imgrec {

std::string_view architecture_of_type(std::string_view type) {
  const std::string_view name = type.substr(0, type.find('.'));
  const auto number = name.find_first_of("0123456789");
  const auto after = name.find_first_not_of("0123456789", number);
  const std::string_view attributes = after == std::string_view::npos ? "" : name.substr(after);
  return name == "a1" || attributes.find('g') != std::string_view::npos ? "aarch64" : "x86_64";
}

namespace {

std::vector<std::string> types_of(const Config& config) {
  auto types = list_of(config.aws.instance_types);
  if (!config.deploy.web_type.empty()) types.push_back(config.deploy.web_type);
  return types;
}

}  // namespace

Result<void> check_architecture(const Config& config) {
  for (const std::string_view architecture : std::array{"x86_64", "aarch64"}) {
    if (config.aws.bundle_key.find(architecture) == std::string::npos) continue;
    return check_architecture(config, {.name = config.aws.bundle_key, .architecture = std::string(architecture)});
  }
  return check_architecture(config, {});
}

Result<void> check_architecture(const Config& config, const BundleArchitecture& bundle) {
  const auto types = types_of(config);
  if (types.empty()) return {};
  const std::string first(architecture_of_type(types.front()));
  for (const std::string& type : types) {
    if (architecture_of_type(type) == first) continue;
    return fail(
        ErrorKind::invalid, "other_architecture",
        types.front() + " is for programs of " + first + ", " + type +
            " is not: aws.instance_types and deploy.web_type have to be of one architecture, that of aws.image_id and "
            "the bundle.");
  }
  if (bundle.architecture.empty() || bundle.architecture == first) return {};
  return fail(ErrorKind::invalid, "other_architecture",
              bundle.name + " is for another processor than " + types.front() + " has (" + first +
                  "): make a bundle on such a machine, or with `./dev bundle --arm64`, or choose other "
                  "aws.instance_types.");
}

}  // namespace imgrec
