#include "aws/client/imds.hpp"

#include "aws/client/uri.hpp"
#include "lib/base/text.hpp"

namespace imgrec::aws {
namespace {

constexpr Millis kAttemptTimeout{1'000};  // it answers in milliseconds, or is not there
constexpr Millis kImdsDeadline{6'000};
constexpr Seconds kTokenLife{21'600};
constexpr Seconds kTokenRenewal{120};  // before its end

}  // namespace

Result<Endpoint> imds_endpoint(const Environment& environment, const Profiles& profiles) {
  const auto setting = [&](const char* variable, const char* name) {
    const std::string given = env_value(environment, variable);
    return !given.empty() || profiles.current() == nullptr ? given : property(*profiles.current(), name);
  };
  std::string url = setting("AWS_EC2_METADATA_SERVICE_ENDPOINT", "ec2_metadata_service_endpoint");
  if (url.empty()) {
    const std::string mode = setting("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "ec2_metadata_service_endpoint_mode");
    if (to_lower(mode) == "ipv6") {
      url = "http://[fd00:ec2::254]";
    } else if (mode.empty() || to_lower(mode) == "ipv4") {
      url = "http://169.254.169.254";
    } else {
      return fail(ErrorKind::invalid, "bad_endpoint_mode",
                  "`" + mode + "` is not a valid endpoint mode of the EC2 metadata service; IPv4 and IPv6 are.");
    }
  }
  auto parts = parse_endpoint(url);
  if (!parts) return fail(parts.error());
  while (parts->path.ends_with('/')) parts->path.pop_back();
  return Endpoint{
      .scheme = parts->scheme, .authority = parts->authority, .base_path = parts->path, .signing_region = {}};
}

bool imds_disabled(const Environment& environment) {
  return to_lower(env_value(environment, "AWS_EC2_METADATA_DISABLED")) == "true";
}

Imds::Imds(Endpoint endpoint, HttpClient& http, Clock& clock, Rng& rng)
    : endpoint_(std::move(endpoint)),
      clock_(clock),
      caller_({.service = "imds", .retry = {}}, http, nullptr, clock, rng) {}

CallRequest Imds::request(std::string operation, std::string method, std::string path) const {
  CallRequest out;
  out.name = {"EC2 metadata", std::move(operation)};
  out.endpoint = endpoint_;
  out.method = std::move(method);
  out.path = std::move(path);
  out.timeout = kAttemptTimeout;
  out.direct = true;  // a proxy's instance metadata are another machine's
  out.response_bytes_max = 64 * kKiB;
  return out;
}

Result<std::string> Imds::token(std::stop_token stop) {
  std::lock_guard lock(mutex_);
  if (!token_.empty() && clock_.mono_now() < token_ends_) return token_;
  CallRequest ask = request("token", "PUT", "/latest/api/token");
  ask.headers = {{"X-aws-ec2-metadata-token-ttl-seconds", std::to_string(kTokenLife.count())}};
  auto got = caller_.call(ask, Deadline::in(clock_, kImdsDeadline), stop);
  if (!got) {
    if (got.error().status == 403) {
      return fail(
          ErrorKind::denied, "imds_forbidden",
          "EC2 metadata token failed: request forbidden: IMDS is disabled on this instance. Enable its HTTP endpoint.");
    }
    return fail(got.error().error);
  }
  token_ = trim(got->body);
  token_ends_ = clock_.mono_now() + kTokenLife - kTokenRenewal;
  return token_;
}

Result<std::string> Imds::get(const std::string& path, std::stop_token stop) {
  for (int tries = 0;; ++tries) {
    auto session = token(stop);
    if (!session) return fail(session.error());
    CallRequest ask = request("read", "GET", path);
    ask.headers = {{"X-aws-ec2-metadata-token", *session}};
    auto got = caller_.call(ask, Deadline::in(clock_, kImdsDeadline), stop);
    if (got) return std::move(got->body);
    if (got.error().status != 401 || tries > 0) return fail(got.error().error);
    // The token ended early: the instance was stopped and started with its memory kept.
    std::lock_guard lock(mutex_);
    token_.clear();
  }
}

}  // namespace imgrec::aws
