#include "roles/web/access/cors.hpp"

#include <algorithm>

#include "lib/base/text.hpp"

namespace imgrec {
namespace {

// Of what programs send here, all that a page may not send without asking.
constexpr std::string_view kRequestHeaders =
    "Authorization, Content-Encoding, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, Prefer, "
    "X-Amz-Date, X-Amz-Target, X-Api-Key, X-Request-Id, X-Session-Id, traceparent, tracestate";
constexpr std::string_view kAnswerHeaders =
    "ETag, Location, RateLimit, RateLimit-Policy, Retry-After, Server-Timing, WWW-Authenticate, X-Request-Id";
constexpr std::string_view kPreflightSeconds = "600";

std::string without_slash(std::string_view origin) {
  std::string text = to_lower(trim(origin));
  if (text.ends_with('/')) text.pop_back();
  return text;
}

}  // namespace

std::optional<std::string> cors_origin(const Request& request, const WebConfig& web) {
  const auto origin = request.header("origin");
  if (web.cors_origins.empty() || !origin) return std::nullopt;
  if (web.cors_origins == "*") return "*";
  const bool listed = std::ranges::any_of(split(web.cors_origins, ','), [&](std::string_view allowed) {
    return without_slash(allowed) == to_lower(*origin);
  });
  return listed ? std::optional(std::string(*origin)) : std::nullopt;
}

HttpHeaders cors_headers(const Request& request, const WebConfig& web) {
  HttpHeaders headers;
  if (const auto origin = cors_origin(request, web)) {
    headers.emplace_back("Access-Control-Allow-Origin", *origin);
    headers.emplace_back("Access-Control-Expose-Headers", kAnswerHeaders);
  }
  // Also to others: a cache must not give one site's answer to another's page.
  if (!web.cors_origins.empty() && web.cors_origins != "*") headers.emplace_back("Vary", "Origin");
  return headers;
}

bool is_preflight(const Request& request) {
  return request.method == "OPTIONS" && request.header("origin") && request.header("access-control-request-method");
}

HttpHeaders preflight_headers(std::string_view methods) {
  return {{"Access-Control-Allow-Methods", std::string(methods)},
          {"Access-Control-Allow-Headers", std::string(kRequestHeaders)},
          {"Access-Control-Max-Age", std::string(kPreflightSeconds)}};
}

}  // namespace imgrec
