#include "aws/client/session.hpp"

#include "aws/client/credentials.hpp"
#include "aws/client/process.hpp"
#include "aws/client/protocols.hpp"
#include "lib/base/file.hpp"
#include "lib/base/log.hpp"
#include "lib/http/client/curl_client.hpp"

namespace imgrec::aws {
namespace {

constexpr std::uint64_t kConfigBytesMax = kMiB;
constexpr std::uint64_t kCaBundleBytesMax = 16 * kMiB;  // a system's own have some 200 KiB

// What is no file, or is in a folder that may not be entered (another user's home), counts as absent, as with AWS's
// tools.
Result<std::string> read_config_file(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) {
    return fail(ErrorKind::not_found, "file_unreadable",
                "There is no file " + path.string() + " that can be read here.");
  }
  return read_file(path, kConfigBytesMax);
}

Result<std::string> ca_bundle(const Environment& environment, const Profiles& profiles) {
  std::string from = "AWS_CA_BUNDLE";
  std::string given = env_value(environment, from);
  if (given.empty() && profiles.current() != nullptr) {
    from = "The AWS profile's ca_bundle";
    given = property(*profiles.current(), "ca_bundle");
  }
  if (given.empty()) return given;
  std::string path = expand_home(given, environment).string();
  const auto text = read_file(path, kCaBundleBytesMax);
  if (!text) {
    return fail(ErrorKind::invalid, "bad_ca_bundle",
                from + " names a file that cannot be used: " + text.error().message +
                    " Name a file of certificates in PEM format, or unset it.");
  }
  if (text->find("-----BEGIN") == std::string::npos) {
    return fail(ErrorKind::invalid, "bad_ca_bundle",
                from + " names " + path + ", which holds no certificate in PEM format (-----BEGIN CERTIFICATE-----).");
  }
  return path;
}

void log_problems(const Profiles& profiles) {
  for (const FileProblem& problem : profiles.problems) {
    log::warning("a line of AWS's files is passed over; nothing here uses it", {{"reason", problem.error.message}});
  }
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

  auto authorities = ca_bundle(settings, *profiles);
  if (!authorities) return fail(authorities.error());
  log_problems(*profiles);

  SessionParts parts;
  parts.endpoints = *std::move(endpoints);
  parts.http = make_curl_client({.user_agent = config.user_agent, .ca_bundle = *std::move(authorities)});
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
