#include "aws/client/session.hpp"

#include "aws/client/credentials.hpp"
#include "aws/client/process.hpp"
#include "aws/client/protocols.hpp"
#include "lib/base/file.hpp"
#include "lib/http/client/curl_client.hpp"

namespace imgrec::aws {
namespace {

constexpr std::uint64_t kConfigBytesMax = kMiB;

Result<std::string> read_config_file(const std::filesystem::path& path) {
  return read_file(path, kConfigBytesMax);
}

}  // namespace

Session::Session(SessionParts parts, Clock& clock, Rng& rng) : parts_(std::move(parts)), clock_(clock), rng_(rng) {}

Caller& Session::caller(const std::string& service) {
  std::lock_guard lock(mutex_);
  auto& caller = callers_[service];
  if (!caller) {
    caller = std::make_unique<Caller>(CallerOptions{.service = service, .retry = parts_.retry}, *parts_.http,
                                      parts_.credentials.get(), clock_, rng_);
  }
  return *caller;
}

CallResult Session::query(CallName name, const QueryPairs& parameters, Deadline deadline, std::stop_token stop) {
  auto endpoint = endpoint_for(parts_.endpoints, name.service);
  if (!endpoint) return std::unexpected(CallFailure{.error = endpoint.error(), .aws_code = {}});
  Caller& service = caller(name.service);
  const std::string_view version = query_version(name.service);
  return service.call(query_call(std::move(name), *std::move(endpoint), version, parameters), deadline,
                      std::move(stop));
}

Result<std::unique_ptr<Session>> open_session(const Environment& environment, const SessionConfig& config, Clock& clock,
                                              Rng& rng) {
  Environment settings = environment;
  if (!config.region.empty()) settings["AWS_REGION"] = config.region;
  if (!config.endpoint_url.empty()) settings["AWS_ENDPOINT_URL"] = config.endpoint_url;
  const auto profiles = load_profiles(settings, read_config_file);
  if (!profiles) return fail(profiles.error());
  auto endpoints = endpoint_settings(settings, *profiles);
  if (!endpoints) return fail(endpoints.error());

  SessionParts parts;
  parts.endpoints = *std::move(endpoints);
  parts.http = make_curl_client(config.user_agent);
  CredentialWorld world{.environment = settings,
                        .read = read_config_file,
                        .run = run_shell,
                        .http = *parts.http,
                        .clock = clock,
                        .rng = rng};
  parts.credentials = std::make_unique<CachedCredentials>(std::make_unique<CredentialChain>(std::move(world)), clock);
  if (!imds_disabled(settings)) {
    auto metadata = imds_endpoint(settings, *profiles);
    if (!metadata) return fail(metadata.error());
    parts.imds = std::make_unique<Imds>(*std::move(metadata), *parts.http, clock, rng);
  }
  return std::make_unique<Session>(std::move(parts), clock, rng);
}

}  // namespace imgrec::aws
