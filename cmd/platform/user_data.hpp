// The cloud-init user-data that turns a stock Debian 12 machine into a worker, or into the web instance of a stack.
#pragma once

#include <string>
#include <string_view>

#include "aws/adapters/ec2_fleet.hpp"
#include "aws/client/endpoints.hpp"
#include "lib/base/result.hpp"
#include "lib/config/config.hpp"

namespace imgrec {

inline constexpr std::size_t kUserDataBytesMax = aws::kUserDataBytesMax;

/// It writes the worker's settings, a systemd unit and an installer, and runs that: the bundle comes from S3 with the
/// instance's role. No secret is in it, so whoever may describe instances may read it. config: a resolved one, whose
/// settings the workers get; endpoints: what [aws] means here, made explicit for machines whose environment is another.
/// Errors: invalid "no_bundle", "no_bucket", "other_architecture", "labels_elsewhere", "user_data_too_large"; as of
/// aws::bucket_endpoint().
Result<std::string> worker_user_data(const Config& config, const aws::EndpointSettings& endpoints);

/// The same for the machine of a stack that runs web and controller. address: the allocation id of its Elastic IP. The
/// worker's launch template is `launch_template`, and the web node is called `config.web.node`. Errors: as
/// worker_user_data().
struct WebInstance {
  std::string address;
  std::string launch_template;
};
Result<std::string> web_user_data(const Config& config, const aws::EndpointSettings& endpoints,
                                  const WebInstance& instance);

/// For the machine of which the workers' image is made: it installs the bundle, removes what is its own, powers off and
/// says on its console how that ended. Errors: as worker_user_data().
Result<std::string> builder_user_data(const Config& config, const aws::EndpointSettings& endpoints);

/// The settings of a worker on an instance, as a TOML file.
std::string worker_settings(const Config& config, const aws::EndpointSettings& endpoints);

/// The files of configs/user-data, embedded at build time.
extern const std::string_view kUserDataTemplate, kWorkerUnitTemplate, kWebUserDataTemplate, kWebUnitTemplate,
    kInstaller, kBuilderTemplate, kBaker;

}  // namespace imgrec
