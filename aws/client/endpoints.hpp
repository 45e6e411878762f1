// Which host a service is at. Regions and buckets come from configuration and become part of a host name, so what could
// name another host is refused.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "aws/client/profile.hpp"
#include "lib/base/result.hpp"

namespace imgrec::aws {

inline constexpr std::string_view kDefaultRegion = "us-east-1";

struct EndpointSettings {
  std::string region{kDefaultRegion};
  std::map<std::string, std::string> overrides;  // by signing name ("sqs"); "" is for every service
  bool s3_path_style = false;                    // always so with an override, whose host is not ours to change
  bool fips = false;
  bool dualstack = false;
};

/// AWS_REGION or AWS_DEFAULT_REGION, else the profile's region, else us-east-1. AWS_ENDPOINT_URL_SQS … before
/// AWS_ENDPOINT_URL before the profile's services section before its endpoint_url;
/// AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true ignores all four. Errors: invalid "bad_region".
Result<EndpointSettings> endpoint_settings(const Environment& environment, const Profiles& profiles);

struct Endpoint {
  std::string scheme;
  std::string authority;       // host[:port]: also the Host header
  std::string base_path;       // before every path, without a slash at its end
  std::string signing_region;  // iam: its one region in the partition, whatever the region
};

/// service: the signing name: "sqs", "s3", "ec2", "sts", "autoscaling", "monitoring", "iam",
/// "servicequotas", "cloudformation".
/// Errors: invalid "bad_region", "bad_endpoint"; "no_fips_endpoint" where AWS has none and FIPS is demanded.
Result<Endpoint> endpoint_for(const EndpointSettings& settings, std::string_view service);

/// The endpoint with the bucket in it: in the host where that is possible, else in the path.
/// Errors: as endpoint_for; invalid "bad_bucket".
Result<Endpoint> bucket_endpoint(const EndpointSettings& settings, std::string_view bucket);

/// Errors: invalid "bad_region" / "bad_bucket", saying which characters are allowed.
Result<void> check_region(std::string_view region);
Result<void> check_bucket(std::string_view bucket);

}  // namespace imgrec::aws
