#include "aws/client/sts.hpp"

#include <charconv>

#include "aws/client/wire/xml.hpp"
#include "lib/base/text.hpp"

namespace imgrec::aws {
namespace {

constexpr Millis kDeadline{30'000};

std::string session_name(const std::string& given, const Clock& clock) {
  if (!given.empty()) return given;
  return "imgrec-" + std::to_string(std::chrono::floor<Seconds>(clock.wall_now()).time_since_epoch().count());
}

Result<Credentials> read_credentials(const std::string& body, const std::string& operation,
                                     const std::string& role_arn) {
  const auto root = parse_xml(body);
  if (!root) return fail(root.error());
  const XmlElement* result = root->child(operation + "Result");
  const XmlElement* given = result == nullptr ? nullptr : result->child("Credentials");
  if (given == nullptr) {
    return fail(ErrorKind::transient, "bad_response", "STS " + operation + " failed: the answer holds no credentials.");
  }
  Credentials out;
  out.access_key_id = trim(given->value("AccessKeyId"));
  out.secret_access_key = Secret(std::string(trim(given->value("SecretAccessKey"))));
  out.session_token = Secret(std::string(trim(given->value("SessionToken"))));
  out.source = "role " + role_arn;
  const auto expires_at = parse_expiry(trim(given->value("Expiration")));
  if (!expires_at || out.access_key_id.empty() || out.secret_access_key.empty()) {
    return fail(ErrorKind::transient, "bad_response",
                "STS " + operation + " failed: the answer's credentials are incomplete.");
  }
  out.expires_at = *expires_at;
  // arn:aws:sts::ACCOUNT:assumed-role/…
  const std::string arn =
      result->child("AssumedRoleUser") == nullptr ? "" : result->child("AssumedRoleUser")->value("Arn");
  if (const auto parts = split(arn, ':'); parts.size() >= 6) out.account_id = parts[4];
  return out;
}

Result<Credentials> call_sts(const StsContext& context, CredentialsProvider* credentials, QueryPairs form,
                             const std::string& role_arn, std::stop_token stop) {
  auto endpoint = endpoint_for(context.endpoints, "sts");
  if (!endpoint) return fail(endpoint.error());
  CallRequest request;
  request.name = {"sts", form.front().second};
  request.endpoint = *std::move(endpoint);
  request.headers = {{"Content-Type", "application/x-www-form-urlencoded"}};
  request.body = to_query_string(form);
  request.timeout = Millis(10'000);
  Caller caller({.service = "sts", .retry = {}}, context.http, credentials, context.clock, context.rng);
  auto response = caller.call(request, Deadline::in(context.clock, kDeadline), stop);
  if (!response) return fail(response.error().error);
  return read_credentials(response->body, request.name.operation, role_arn);
}

}  // namespace

Result<Credentials> assume_role(const StsContext& context, const Credentials& base, const RoleStep& role,
                                std::stop_token stop) {
  QueryPairs form = {{"Action", "AssumeRole"},
                     {"Version", "2011-06-15"},
                     {"RoleArn", role.role_arn},
                     {"RoleSessionName", session_name(role.session_name, context.clock)}};
  if (role.duration_s > 0) form.emplace_back("DurationSeconds", std::to_string(role.duration_s));
  if (!role.external_id.empty()) form.emplace_back("ExternalId", role.external_id);
  FixedCredentials credentials(base);
  return call_sts(context, &credentials, std::move(form), role.role_arn, stop);
}

Result<Credentials> assume_role_with_web_identity(const StsContext& context, const WebIdentity& identity,
                                                  const Secret& token, std::stop_token stop) {
  return call_sts(context, nullptr,
                  {{"Action", "AssumeRoleWithWebIdentity"},
                   {"Version", "2011-06-15"},
                   {"RoleArn", identity.role_arn},
                   {"RoleSessionName", session_name(identity.session_name, context.clock)},
                   {"WebIdentityToken", std::string(trim(token.reveal()))}},
                  identity.role_arn, stop);
}

Result<WallTime> parse_expiry(std::string_view text) {
  const std::size_t zone_at = text.find_first_of("+-", std::min<std::size_t>(text.size(), 19));
  if (zone_at == std::string_view::npos) return parse_rfc3339(text);
  const std::string_view zone = text.substr(zone_at);
  int hours = 0, minutes = 0;
  const bool good = zone.size() == 6 && zone[3] == ':' && std::from_chars(&zone[1], &zone[3], hours).ptr == &zone[3] &&
                    std::from_chars(&zone[4], zone.data() + 6, minutes).ptr == zone.data() + 6;
  if (!good)
    return fail(ErrorKind::invalid, "bad_time", "The time " + json_quote(text.substr(0, 40)) + " is not RFC 3339.");
  auto time = parse_rfc3339(std::string(text.substr(0, zone_at)) + "Z");
  if (!time) return time;
  const auto offset = std::chrono::hours(hours) + std::chrono::minutes(minutes);
  return zone.front() == '+' ? *time - offset : *time + offset;
}

}  // namespace imgrec::aws
