// Pages of other sites that may use the service from a browser (https://fetch.spec.whatwg.org/#http-cors-protocol).
#pragma once

#include <optional>
#include <string>

#include "lib/config/config.hpp"
#include "lib/http/server/server.hpp"

namespace imgrec {

/// The origin of the page that sent this, when web.cors_origins allows it ("*" for any); else nothing.
std::optional<std::string> cors_origin(const Request& request, const WebConfig& web);

/// What every answer carries: that this page may read it, and which of its headers. Never that credentials are allowed:
/// cookies of this service are for its own page; others send a key. Empty where web.cors_origins is.
HttpHeaders cors_headers(const Request& request, const WebConfig& web);

/// True for the question that a browser asks before a request that a form could not send.
bool is_preflight(const Request& request);

/// What the answer to that question carries besides. `methods`: as Allow lists them.
HttpHeaders preflight_headers(std::string_view methods);

}  // namespace imgrec
