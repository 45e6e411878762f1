// Which processors instances have, and which one a bundle is for.
#pragma once

#include <string>
#include <string_view>

#include "lib/base/result.hpp"
#include "lib/config/config.hpp"

namespace imgrec {

/// The processor of an instance type, as bundles name it: "aarch64" for those of AWS's own (t4g, c7gn, a1), else
/// "x86_64". The letters after the generation's number say it:
/// https://docs.aws.amazon.com/ec2/latest/instancetypes/instance-type-names.html
std::string_view architecture_of_type(std::string_view type);

/// Whether aws.instance_types, and deploy.web_type, have one kind of processor and the bundle that aws.bundle_key names
/// is for it. A bundle whose name does not say what it is for, and an empty list (a launch template's types), are taken
/// on trust.
/// Errors: invalid "other_architecture".
Result<void> check_architecture(const Config& config);

struct BundleArchitecture {
  std::string name;          // of the bundle, for the error
  std::string architecture;  // "x86_64", "aarch64"; empty: not known
};

/// The same for this bundle, whatever aws.bundle_key is.
Result<void> check_architecture(const Config& config, const BundleArchitecture& bundle);

}  // namespace imgrec
