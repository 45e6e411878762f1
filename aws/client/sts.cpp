#include "aws/client/sts.hpp"

#include <algorithm>
#include <optional>

#include <charconv>

#include "aws/client/wire/xml.hpp"
#include "lib/base/text.hpp"

namespace imgrec::aws {
namespace {

constexpr Millis kStsDeadline{30'000};

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
  auto response = caller.call(request, Deadline::in(context.clock, kStsDeadline), stop);
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

namespace {

// "Z", "+01:00", "+0100" or "+01", to be subtracted; nothing when it is none of these.
std::optional<Millis> parse_zone(std::string_view zone) {
  if (zone == "Z" || zone == "z") return Millis(0);
  if (zone.empty() || (zone.front() != '+' && zone.front() != '-')) return std::nullopt;
  std::string digits(zone.substr(1));
  if (digits.size() == 5 && digits[2] == ':') digits.erase(2, 1);
  if (digits.size() == 2) digits += "00";
  const bool are_digits = std::ranges::all_of(digits, [](char c) { return c >= '0' && c <= '9'; });
  if (digits.size() != 4 || !are_digits) return std::nullopt;
  const int number = std::stoi(digits);
  const Millis offset = std::chrono::hours(number / 100) + std::chrono::minutes(number % 100);
  return zone.front() == '+' ? offset : -offset;
}

}  // namespace

Result<WallTime> parse_expiry(std::string_view text) {
  constexpr std::size_t kSecondsEnd = 19;  // of "2022-05-02T18:36:00"
  const auto bad = [&] {
    return fail(ErrorKind::invalid, "bad_time", "The time " + json_quote(text.substr(0, 40)) + " is not RFC 3339.");
  };
  if (text.size() <= kSecondsEnd) return bad();
  std::string seconds(text.substr(0, kSecondsEnd));
  if (seconds[10] == 't' || seconds[10] == ' ') seconds[10] = 'T';
  std::string_view rest = text.substr(kSecondsEnd);
  Millis fraction{0};
  if (rest.front() == '.' || rest.front() == ',') {
    rest.remove_prefix(1);
    const std::size_t digits = std::min(rest.find_first_not_of("0123456789"), rest.size());
    if (digits == 0) return bad();
    const std::string millis = (std::string(rest.substr(0, digits)) + "00").substr(0, 3);
    fraction = Millis(std::stoi(millis));
    rest.remove_prefix(digits);
  }
  const auto zone = parse_zone(rest);
  const auto time = parse_rfc3339(seconds + "Z");
  if (!zone || !time) return bad();
  return *time + fraction - *zone;
}

}  // namespace imgrec::aws
