#include "aws/client/credentials.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "lib/base/text.hpp"

namespace imgrec::aws {
namespace {

using nlohmann::json;

constexpr Millis kContainerTimeout{2'000};
constexpr Millis kContainerDeadline{10'000};

std::string text_of(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

// The JSON of containers, instances and processes: the token's name differs, the rest does not.
Result<Credentials> parse_credentials(const std::string& body, const char* token_name, const std::string& source) {
  const json document = json::parse(body, nullptr, false);
  const auto bad = [&](const std::string& why) {
    return fail(ErrorKind::transient, "bad_credentials_answer", "AWS credentials from " + source + ": " + why);
  };
  if (!document.is_object()) return bad("could not parse response: invalid JSON in response.");
  if (const std::string code = text_of(document, "Code"); !code.empty() && code != "Success") {
    return bad("it answered " + to_valid_utf8(code.substr(0, 100)) + ". Check the role's trust policy.");
  }
  Credentials out;
  out.access_key_id = text_of(document, "AccessKeyId");
  out.secret_access_key = Secret(text_of(document, "SecretAccessKey"));
  out.session_token = Secret(text_of(document, token_name));
  out.account_id = text_of(document, "AccountId");
  out.source = source;
  if (out.access_key_id.empty() || out.secret_access_key.empty())
    return bad("the answer holds no AccessKeyId or no SecretAccessKey.");
  if (const std::string expiration = text_of(document, "Expiration"); !expiration.empty()) {
    const auto expires_at = parse_expiry(expiration);
    if (!expires_at) return bad("its Expiration is no time: " + expires_at.error().message);
    out.expires_at = *expires_at;
  }
  return out;
}

std::optional<Credentials> from_environment(const Environment& environment) {
  Credentials out;
  out.access_key_id = env_value(environment, "AWS_ACCESS_KEY_ID");
  out.secret_access_key = Secret(env_value(environment, "AWS_SECRET_ACCESS_KEY"));
  out.session_token = Secret(env_value(environment, "AWS_SESSION_TOKEN"));
  out.account_id = env_value(environment, "AWS_ACCOUNT_ID");
  out.source = "environment";
  if (out.access_key_id.empty() || out.secret_access_key.empty()) return std::nullopt;
  return out;
}

std::unexpected<Error> bad_container_uri(const std::string& why) {
  return fail(ErrorKind::invalid, "bad_container_uri", "AWS_CONTAINER_CREDENTIALS_FULL_URI: " + why);
}

bool is_trusted_plain_host(std::string_view host) {
  constexpr std::array<std::string_view, 5> kHosts = {"localhost", "::1", "169.254.170.2", "169.254.170.23",
                                                      "fd00:ec2::23"};
  if (std::find(kHosts.begin(), kHosts.end(), host) != kHosts.end()) return true;
  return host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string_view::npos;
}

// Asked for by the profile, so nothing found is an error.
Result<Credentials> required(Result<std::optional<Credentials>> found, const std::string& what) {
  if (!found) return fail(found.error());
  if (!*found)
    return fail(ErrorKind::denied, "no_credentials",
                "The AWS profile names " + what + " as its source, which has no credentials.");
  return **std::move(found);
}

}  // namespace

Result<std::optional<std::string>> container_credentials_url(const Environment& environment) {
  const std::string relative = env_value(environment, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
  if (!relative.empty()) return "http://169.254.170.2" + relative;
  std::string full = env_value(environment, "AWS_CONTAINER_CREDENTIALS_FULL_URI");
  if (full.empty()) return std::nullopt;
  if (full.starts_with('/')) return bad_container_uri("URI did not specify a host.");
  const auto parts = parse_endpoint(full.substr(0, full.find('?')));
  if (!parts) return bad_container_uri(parts.error().message);
  if (parts->scheme == "http" && !is_trusted_plain_host(parts->host)) {
    return bad_container_uri(
        "plain http is allowed only to this machine and to ECS's and EKS's own addresses; use https.");
  }
  return full;
}

Result<HttpHeaders> CredentialChain::container_headers() const {
  HttpHeaders out = {{"Accept", "application/json"}};
  std::string token = env_value(world_.environment, "AWS_CONTAINER_AUTHORIZATION_TOKEN");
  if (const std::string file = env_value(world_.environment, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"); !file.empty()) {
    auto text = world_.read(expand_home(file, world_.environment));
    if (!text) return fail(text.error());
    token = trim(*text);
  }
  if (token.find_first_of("\r\n") != std::string::npos) {
    return fail(ErrorKind::invalid, "bad_container_token", "The container's authorization token holds a line break.");
  }
  if (!token.empty()) out.emplace_back("Authorization", token);
  return out;
}

CredentialChain::Found CredentialChain::from_container(std::stop_token stop) {
  const auto url = container_credentials_url(world_.environment);
  if (!url) return fail(url.error());
  if (!*url) return std::nullopt;
  const std::string& text = **url;
  const std::size_t mark = text.find('?');
  const auto parts = parse_endpoint(std::string_view(text).substr(0, mark));
  if (!parts) return fail(parts.error());
  auto headers = container_headers();
  if (!headers) return fail(headers.error());
  CallRequest request;
  request.name = {"container credentials", "read"};
  request.endpoint = {.scheme = parts->scheme, .authority = parts->authority, .base_path = {}, .signing_region = {}};
  request.method = "GET";
  request.path = parts->path;
  if (mark != std::string::npos) request.query = parse_query_string(text.substr(mark + 1));
  request.headers = *std::move(headers);
  request.timeout = kContainerTimeout;
  Caller caller({.service = "ecs", .retry = {}}, world_.http, nullptr, world_.clock, world_.rng);
  const auto got = caller.call(request, Deadline::in(world_.clock, kContainerDeadline), stop);
  if (!got) return fail(got.error().error);
  auto credentials = parse_credentials(got->body, "Token", "container");
  if (!credentials) return fail(credentials.error());
  return *std::move(credentials);
}

CredentialChain::Found CredentialChain::from_instance(const Profiles& profiles, std::stop_token stop,
                                                      std::string& why_not) {
  if (imds_disabled(world_.environment)) {
    why_not = "AWS_EC2_METADATA_DISABLED is true";
    return std::nullopt;
  }
  const auto endpoint = imds_endpoint(world_.environment, profiles);
  if (!endpoint) return fail(endpoint.error());
  const std::string url = endpoint->scheme + "://" + endpoint->authority + endpoint->base_path;
  if (!imds_ || imds_url_ != url) {
    imds_ = std::make_unique<Imds>(*endpoint, world_.http, world_.clock, world_.rng);
    imds_url_ = url;
  }
  const std::string folder = "/latest/meta-data/iam/security-credentials/";
  const auto role = imds_->get(folder, stop);
  if (!role) {
    why_not = role.error().kind == ErrorKind::not_found ? "the instance has no role" : role.error().message;
    // Not to be reached is the same as not being on EC2; but a refusal or a wrong answer is worth telling.
    return std::nullopt;
  }
  const std::string name(trim(std::string_view(*role).substr(0, role->find('\n'))));
  const auto body = imds_->get(folder + uri_encode(name, Slash::encode), stop);
  if (!body) return fail(body.error());
  auto credentials = parse_credentials(*body, "Token", "instance metadata");
  if (!credentials) return fail(credentials.error());
  return *std::move(credentials);
}

Result<Credentials> CredentialChain::web_identity(const WebIdentity& identity, const StsContext& sts,
                                                  std::stop_token stop) {
  auto token = world_.read(expand_home(identity.token_file, world_.environment));
  if (!token) {
    return fail(token.error().kind, "web_identity_token_unreadable", "Web identity for AWS: " + token.error().message);
  }
  return assume_role_with_web_identity(sts, identity, Secret(*std::move(token)), stop);
}

CredentialChain::Found CredentialChain::from_web_identity(const EndpointSettings& endpoints, std::stop_token stop) {
  const WebIdentity identity{.role_arn = env_value(world_.environment, "AWS_ROLE_ARN"),
                             .token_file = env_value(world_.environment, "AWS_WEB_IDENTITY_TOKEN_FILE"),
                             .session_name = env_value(world_.environment, "AWS_ROLE_SESSION_NAME")};
  if (identity.role_arn.empty() || identity.token_file.empty()) return std::nullopt;
  auto got = web_identity(identity, sts_context(endpoints), stop);
  if (!got) return fail(got.error());
  return *std::move(got);
}

Result<Credentials> CredentialChain::run_process(const CredentialProcess& process) {
  auto ran = world_.run(process.command);
  if (!ran) return fail(ran.error());
  if (ran->exit_code != 0) {
    return fail(ErrorKind::denied, "credential_process_failed",
                "Error retrieving credentials: external process (credential_process) exited with code " +
                    std::to_string(ran->exit_code) + ". Run it by hand to see why.");
  }
  auto credentials = parse_credentials(ran->output, "SessionToken", "credential_process");
  if (credentials && credentials->account_id.empty()) credentials->account_id = process.account_id;
  return credentials;
}

Result<Credentials> CredentialChain::named_source(const std::string& name, const Profiles& profiles,
                                                  std::stop_token stop) {
  std::string why_not;
  if (name == "Environment") return required(from_environment(world_.environment), "the environment");
  if (name == "EcsContainer") return required(from_container(stop), "the container");
  auto found = from_instance(profiles, stop, why_not);
  return required(std::move(found), "the instance's metadata" + (why_not.empty() ? "" : " (" + why_not + ")"));
}

Result<Credentials> CredentialChain::base_credentials(const ProfileChain& chain, const Profiles& profiles,
                                                      const StsContext& sts, std::stop_token stop) {
  if (const auto* keys = std::get_if<Credentials>(&chain.base)) return *keys;
  if (const auto* named = std::get_if<NamedSource>(&chain.base)) return named_source(named->name, profiles, stop);
  if (const auto* process = std::get_if<CredentialProcess>(&chain.base)) return run_process(*process);
  return web_identity(std::get<WebIdentity>(chain.base), sts, stop);
}

CredentialChain::Found CredentialChain::from_profile(const Profiles& profiles, const EndpointSettings& endpoints,
                                                     std::stop_token stop) {
  const auto chain = resolve_profile(profiles);
  if (!chain) {
    const bool is_optional =
        chain.error().kind == ErrorKind::not_found && (!profiles.selected_by_name || profiles.current() != nullptr);
    if (is_optional) return std::nullopt;
    return fail(chain.error());
  }
  const StsContext sts = sts_context(endpoints);
  auto credentials = base_credentials(*chain, profiles, sts, stop);
  for (const RoleStep& role : chain->roles) {
    if (!credentials) break;
    credentials = assume_role(sts, *credentials, role, stop);
  }
  if (!credentials) return fail(credentials.error());
  return *std::move(credentials);
}

Result<Credentials> CredentialChain::load(std::stop_token stop) {
  if (auto keys = from_environment(world_.environment)) return *std::move(keys);
  const auto profiles = load_profiles(world_.environment, world_.read);
  if (!profiles) return fail(profiles.error());
  const auto endpoints = endpoint_settings(world_.environment, *profiles);
  if (!endpoints) return fail(endpoints.error());

  auto found = from_profile(*profiles, *endpoints, stop);
  if (found && !*found) found = from_web_identity(*endpoints, stop);
  if (found && !*found) found = from_container(stop);
  std::string why_not;
  if (found && !*found) found = from_instance(*profiles, stop, why_not);
  if (!found) return fail(found.error());
  if (*found) return **std::move(found);
  if (stop.stop_requested()) return fail(ErrorKind::cancelled, "cancelled", "Looking for AWS credentials was stopped.");
  return fail(ErrorKind::denied, "no_credentials",
              "No AWS credentials: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set, the profile " +
                  profiles->selected +
                  " holds none, there is no web identity and no container, and instance metadata gave none (" +
                  why_not + "). Set one of them, or give the instance a role.");
}

}  // namespace imgrec::aws
