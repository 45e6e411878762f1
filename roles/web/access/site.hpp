// Whether a request comes from this service's own page, by the name it is known by, and what a proxy says of it.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "lib/config/config.hpp"
#include "lib/http/server/server.hpp"

namespace imgrec {

/// False when a browser says that another site's page sent this. Sec-Fetch-Site: same-origin is believed, as no page
/// can set it; else Origin has to name web.public_url, the Host, or the X-Forwarded-Host of a trusted proxy.
bool is_same_site(const Request& request, const WebConfig& web);

/// False when the Host header names none of: an IP address, localhost (or a name below it), one of `names`. A page of
/// another site can make its own host name lead to this machine (DNS rebinding), and would then be of the same site:
/// the Host header still tells. Without a Host header (HTTP/1.0) no browser sent it: true.
bool is_known_host(const Request& request, std::span<const std::string> names);

/// True when the other side of the connection is one of web.trusted_proxies: its X-Forwarded-… headers are believed.
bool is_from_trusted_proxy(const Request& request, const WebConfig& web);

/// True when the client's connection is encrypted, as far as the server or its trusted proxy tells.
bool is_secure(const Request& request, const WebConfig& web);

/// "photos.example" of "https://photos.example:8443/"; empty when there is none.
std::string host_of_url(std::string_view url);

}  // namespace imgrec
