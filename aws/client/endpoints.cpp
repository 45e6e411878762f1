#include "aws/client/endpoints.hpp"

#include <algorithm>
#include <utility>

#include "aws/client/uri.hpp"
#include "lib/base/text.hpp"

namespace imgrec::aws {
namespace {

constexpr std::string_view kServices[] = {"sqs",        "s3",  "ec2",           "sts",           "autoscaling",
                                          "monitoring", "iam", "servicequotas", "cloudformation"};

bool is_lower_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

// The names that AWS's tools use in variables and files.
std::string service_id(std::string_view service) {
  if (service == "autoscaling") return "auto_scaling";
  if (service == "monitoring") return "cloudwatch";
  if (service == "servicequotas") return "service_quotas";
  return std::string(service);
}

std::string to_upper(std::string text) {
  for (char& c : text) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return text;
}

bool is_true(std::string_view text) {
  return to_lower(text) == "true";
}

// A group of regions with names and accounts of its own. The names are those of AWS's endpoint rules; a test compares
// them with botocore's for every region. IAM is one service for a whole partition, and named differently in each.
struct Partition {
  std::string_view region_prefix;
  std::string_view suffix;
  std::string_view dualstack_suffix;
  std::string_view iam_region;
  std::string_view iam, iam_dualstack, iam_fips, iam_fips_dualstack;  // hosts
};

constexpr Partition kPartitions[] = {
    {"cn-", "amazonaws.com.cn", "api.amazonwebservices.com.cn", "cn-north-1", "iam.cn-north-1.amazonaws.com.cn",
     "iam.global.api.amazonwebservices.com.cn", "iam-fips.amazonaws.com.cn", "iam-fips.api.amazonwebservices.com.cn"},
    {"us-gov-", "amazonaws.com", "api.aws", "us-gov-west-1", "iam.us-gov.amazonaws.com", "iam.us-gov.api.aws",
     "iam.us-gov.amazonaws.com", "iam.us-gov.api.aws"},
    {"us-iso-", "c2s.ic.gov", "api.aws.ic.gov", "us-iso-east-1", "iam.us-iso-east-1.c2s.ic.gov", "iam.api.aws.ic.gov",
     "iam-fips.us-iso-east-1.c2s.ic.gov", "iam-fips.api.aws.ic.gov"},
    {"us-isob-", "sc2s.sgov.gov", "api.aws.scloud", "us-isob-east-1", "iam.us-isob-east-1.sc2s.sgov.gov",
     "iam.api.aws.scloud", "iam-fips.us-isob-east-1.sc2s.sgov.gov", "iam-fips.api.aws.scloud"},
    {"eu-isoe-", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk", "eu-isoe-west-1", "iam.eu-isoe-west-1.cloud.adc-e.uk",
     "iam.api.cloud-aws.adc-e.uk", "iam-fips.cloud.adc-e.uk", "iam-fips.api.cloud-aws.adc-e.uk"},
    {"us-isof-", "csp.hci.ic.gov", "api.aws.hci.ic.gov", "us-isof-south-1", "iam.us-isof-south-1.csp.hci.ic.gov",
     "iam.api.aws.hci.ic.gov", "iam-fips.csp.hci.ic.gov", "iam-fips.api.aws.hci.ic.gov"},
    {"eusc-", "amazonaws.eu", "api.amazonwebservices.eu", "eusc-de-east-1", "iam.eusc-de-east-1.amazonaws.eu",
     "iam.global.api.amazonwebservices.eu", "iam-fips.amazonaws.eu", "iam-fips.api.amazonwebservices.eu"},
    {"", "amazonaws.com", "api.aws", kDefaultRegion, "iam.amazonaws.com", "iam.global.api.aws",
     "iam-fips.amazonaws.com", "iam-fips.global.api.aws"}};

// The last one, of the commercial regions, is also that of regions nobody knows yet.
const Partition& partition_of(std::string_view region) {
  return *std::ranges::find_if(kPartitions,
                               [&](const Partition& one) { return region.starts_with(one.region_prefix); });
}

// In GovCloud the plain names are validated by FIPS 140 already, but for S3's; there are others with dual-stack alone.
bool is_fips_by_itself(const EndpointSettings& settings, std::string_view service) {
  if (!settings.region.starts_with("us-gov-") || service == "s3") return false;
  return !settings.dualstack || service == "monitoring";
}

Result<std::string> own_host(const EndpointSettings& settings, std::string_view service) {
  const Partition& partition = partition_of(settings.region);
  if (service == "iam") {
    if (settings.fips) return std::string(settings.dualstack ? partition.iam_fips_dualstack : partition.iam_fips);
    return std::string(settings.dualstack ? partition.iam_dualstack : partition.iam);
  }
  if (service == "s3" && settings.fips && settings.region.starts_with("cn-")) {
    return fail(ErrorKind::invalid, "no_fips_endpoint",
                "S3 has no FIPS endpoint in the region " + settings.region +
                    ": unset AWS_USE_FIPS_ENDPOINT (in a profile: use_fips_endpoint), or use another region.");
  }
  const bool says_fips = settings.fips && !is_fips_by_itself(settings, service);
  const std::string name = std::string(service) + (says_fips ? "-fips" : "");
  if (service == "s3") {
    return name + (settings.dualstack ? ".dualstack." : ".") + settings.region + "." + std::string(partition.suffix);
  }
  return name + "." + settings.region + "." +
         std::string(settings.dualstack ? partition.dualstack_suffix : partition.suffix);
}

// What the environment or the profile says for one setting; the environment wins.
std::string setting(const Environment& environment, const Properties* profile, const std::string& variable,
                    const std::string& name) {
  const std::string given = env_value(environment, variable);
  return !given.empty() || profile == nullptr ? given : property(*profile, name);
}

std::string override_for(std::string_view service, const Environment& environment, const Profiles& profiles) {
  const std::string id = service_id(service);
  if (const std::string url = env_value(environment, "AWS_ENDPOINT_URL_" + to_upper(id)); !url.empty()) return url;
  if (const std::string url = env_value(environment, "AWS_ENDPOINT_URL"); !url.empty()) return url;
  const Properties* profile = profiles.current();
  if (profile == nullptr) return "";
  const auto services = profiles.services.find(property(*profile, "services"));
  if (services != profiles.services.end()) {
    const auto own = services->second.find(id);
    if (own != services->second.end()) {
      if (const std::string url = property(sub_properties(own->second), "endpoint_url"); !url.empty()) return url;
    }
  }
  return property(*profile, "endpoint_url");
}

}  // namespace

Result<void> check_region(std::string_view region) {
  const bool good = !region.empty() && region.size() <= 32 && is_lower_or_digit(region.front()) &&
                    is_lower_or_digit(region.back()) &&
                    std::all_of(region.begin(), region.end(), [](char c) { return is_lower_or_digit(c) || c == '-'; });
  if (good) return {};
  return fail(ErrorKind::invalid, "bad_region",
              "The region " + json_quote(region.substr(0, 40)) +
                  " is none: it is written like us-east-1 (small letters, digits and hyphens).");
}

// https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
Result<void> check_bucket(std::string_view bucket) {
  bool good = bucket.size() >= 3 && bucket.size() <= 63 && bucket.find("..") == std::string_view::npos;
  if (good) {
    good = is_lower_or_digit(bucket.front()) && is_lower_or_digit(bucket.back()) &&
           std::all_of(bucket.begin(), bucket.end(),
                       [](char c) { return is_lower_or_digit(c) || c == '-' || c == '.'; }) &&
           bucket.find_first_not_of("0123456789.") != std::string_view::npos;
  }
  if (good) return {};
  return fail(ErrorKind::invalid, "bad_bucket",
              "The bucket name " + json_quote(bucket.substr(0, 80)) +
                  " is none: 3 to 63 small letters, digits, hyphens and single dots, beginning and ending with a "
                  "letter or digit.");
}

Result<EndpointSettings> endpoint_settings(const Environment& environment, const Profiles& profiles) {
  EndpointSettings out;
  const Properties* profile = profiles.current();
  std::string region = env_value(environment, "AWS_REGION");
  if (region.empty()) region = setting(environment, profile, "AWS_DEFAULT_REGION", "region");
  if (!region.empty()) out.region = region;
  if (const auto good = check_region(out.region); !good) return fail(good.error());
  out.fips = is_true(setting(environment, profile, "AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint"));
  out.dualstack = is_true(setting(environment, profile, "AWS_USE_DUALSTACK_ENDPOINT", "use_dualstack_endpoint"));
  if (profile != nullptr) {
    const auto s3 = profile->find("s3");
    out.s3_path_style = s3 != profile->end() && property(sub_properties(s3->second), "addressing_style") == "path";
  }
  const std::string ignore =
      setting(environment, profile, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "ignore_configured_endpoint_urls");
  if (is_true(ignore)) return out;
  for (const std::string_view service : kServices) {
    if (const std::string url = override_for(service, environment, profiles); !url.empty()) {
      out.overrides.emplace(service, url);
    }
  }
  return out;
}

Result<Endpoint> endpoint_for(const EndpointSettings& settings, std::string_view service) {
  if (const auto good = check_region(settings.region); !good) return fail(good.error());
  Endpoint out{.scheme = "https", .authority = {}, .base_path = {}, .signing_region = settings.region};
  if (service == "iam") out.signing_region = partition_of(settings.region).iam_region;
  auto given = settings.overrides.find(std::string(service));
  if (given == settings.overrides.end()) given = settings.overrides.find("");
  if (given == settings.overrides.end()) {
    auto host = own_host(settings, service);
    if (!host) return fail(host.error());
    out.authority = *std::move(host);
    return out;
  }
  auto parts = parse_endpoint(given->second);
  if (!parts) return fail(parts.error());
  out.scheme = std::move(parts->scheme);
  out.authority = std::move(parts->authority);
  out.base_path = std::move(parts->path);
  while (out.base_path.ends_with('/')) out.base_path.pop_back();
  return out;
}

Result<Endpoint> bucket_endpoint(const EndpointSettings& settings, std::string_view bucket) {
  if (const auto good = check_bucket(bucket); !good) return fail(good.error());
  auto out = endpoint_for(settings, "s3");
  if (!out) return out;
  const bool is_overridden = settings.overrides.contains("s3") || settings.overrides.contains("");
  // The certificate *.s3.REGION.amazonaws.com covers no name with a further dot.
  const bool fits_certificate = bucket.find('.') == std::string_view::npos;
  if (settings.s3_path_style || is_overridden || !fits_certificate) {
    out->base_path += "/" + std::string(bucket);
  } else {
    out->authority = std::string(bucket) + "." + out->authority;
  }
  return out;
}

}  // namespace imgrec::aws
