#include "roles/web/access/site.hpp"

#include <algorithm>

#include "lib/base/text.hpp"

namespace imgrec {
namespace {

// "https://photos.example:8443" of "https://photos.example:8443/"
std::string origin_of_url(std::string_view url) {
  std::string origin = to_lower(url);
  if (origin.ends_with('/')) origin.pop_back();
  return origin;
}

// "10.0.0.7" of "10.0.0.7:4711" and of "[::ffff:10.0.0.7]:4711"; "::1" of "[::1]:4711".
std::string_view address_of(std::string_view remote) {
  constexpr std::string_view kMapped = "::ffff:";
  remote = remote.substr(0, remote.rfind(':'));
  if (remote.starts_with('[') && remote.ends_with(']')) remote = remote.substr(1, remote.size() - 2);
  const std::string_view unmapped = remote.starts_with(kMapped) ? remote.substr(kMapped.size()) : std::string_view();
  return unmapped.find('.') != std::string_view::npos ? unmapped : remote;
}

}  // namespace

bool is_from_trusted_proxy(const Request& request, const WebConfig& web) {
  if (web.trusted_proxies == "*") return true;
  const std::string_view address = address_of(request.remote);
  return std::ranges::any_of(split(web.trusted_proxies, ','),
                             [&](std::string_view proxy) { return !proxy.empty() && trim(proxy) == address; });
}

bool is_secure(const Request& request, const WebConfig& web) {
  return request.encrypted || (is_from_trusted_proxy(request, web) && request.header("x-forwarded-proto") == "https");
}

bool is_same_site(const Request& request, const WebConfig& web) {
  const std::string fetch_site = to_lower(request.header("sec-fetch-site").value_or("none"));
  if (fetch_site == "same-origin") return true;
  const auto origin = request.header("origin");
  if (!origin) return fetch_site != "cross-site";
  if (!web.public_url.empty() && to_lower(*origin) == origin_of_url(web.public_url)) return true;
  const std::size_t scheme_end = origin->find("://");
  if (scheme_end == std::string_view::npos) return false;  // "null": a sandboxed frame or a local file
  const std::string from = to_lower(origin->substr(scheme_end + 3));
  const auto names = [&](std::string_view header) {
    const auto host = request.header(header);
    return host && to_lower(trim(*host)) == from;
  };
  // A proxy may rewrite Host; a page cannot set X-Forwarded-Host without asking first, and that is never granted.
  return names("host") || (is_from_trusted_proxy(request, web) && names("x-forwarded-host"));
}

bool is_known_host(const Request& request, std::span<const std::string> names) {
  const auto header = request.header("host");
  if (!header) return true;
  std::string host = to_lower(trim(*header));
  if (host.starts_with('[')) return host.find(']') != std::string::npos;  // an IPv6 address, no name
  host.resize(std::min(host.find(':'), host.size()));
  if (host.ends_with('.')) host.pop_back();
  // No name's last part is all digits (RFC 1123, section 2.1), and an IPv4 address's is.
  const std::string_view last = std::string_view(host).substr(host.rfind('.') + 1);
  if (!last.empty() && last.find_first_not_of("0123456789") == std::string_view::npos) return true;
  if (host == "localhost" || host.ends_with(".localhost")) return true;
  return std::ranges::any_of(names, [&](const std::string& name) { return to_lower(name) == host; });
}

std::string host_of_url(std::string_view url) {
  const std::size_t scheme_end = url.find("://");
  if (scheme_end == std::string_view::npos) return {};
  std::string host = to_lower(url.substr(scheme_end + 3));
  host.resize(std::min(host.find_first_of(":/"), host.size()));
  return host;
}

}  // namespace imgrec
