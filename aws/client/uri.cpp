#include "aws/client/uri.hpp"

#include <algorithm>
#include <charconv>

#include "lib/base/text.hpp"

namespace imgrec::aws {
namespace {

bool is_unreserved(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
         c == '_' || c == '~';
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::unexpected<Error> bad_endpoint(std::string_view url, std::string_view why) {
  return fail(ErrorKind::invalid, "bad_endpoint",
              "The endpoint " + json_quote(url) + " " + std::string(why) + "; give it as https://host[:port][/path].");
}

bool is_host_char(char c) {
  return is_unreserved(c) && c != '~';
}

}  // namespace

std::string uri_encode(std::string_view text, Slash slash) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size() + text.size() / 8);
  for (const char c : text) {
    if (is_unreserved(c) || (c == '/' && slash == Slash::keep)) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
  return out;
}

std::string uri_decode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      const int high = hex_value(text[i + 1]), low = hex_value(text[i + 2]);
      if (high >= 0 && low >= 0) {
        out += static_cast<char>(high * 16 + low);
        i += 2;
        continue;
      }
    }
    out += text[i];
  }
  return out;
}

std::string to_query_string(const QueryPairs& pairs) {
  std::string out;
  for (const auto& [name, value] : pairs) {
    if (!out.empty()) out += '&';
    out += uri_encode(name, Slash::encode);
    out += '=';
    out += uri_encode(value, Slash::encode);
  }
  return out;
}

QueryPairs parse_query_string(std::string_view query) {
  QueryPairs pairs;
  if (query.empty()) return pairs;
  for (const std::string_view part : split(query, '&')) {
    if (part.empty()) continue;
    const std::size_t equals = part.find('=');
    const std::string_view value = equals == std::string_view::npos ? std::string_view() : part.substr(equals + 1);
    pairs.emplace_back(uri_decode(part.substr(0, equals)), uri_decode(value));
  }
  return pairs;
}

Result<UrlParts> parse_endpoint(std::string_view url) {
  UrlParts parts;
  const std::size_t scheme_end = url.find("://");
  if (scheme_end == std::string_view::npos) return bad_endpoint(url, "has no scheme");
  parts.scheme = to_lower(url.substr(0, scheme_end));
  if (parts.scheme != "https" && parts.scheme != "http") return bad_endpoint(url, "is neither https nor http");
  std::string_view rest = url.substr(scheme_end + 3);
  const std::size_t path_at = rest.find('/');
  if (path_at != std::string_view::npos) {
    parts.path = rest.substr(path_at);
    rest = rest.substr(0, path_at);
  }
  if (parts.path.find_first_of("?#\\ \t\r\n") != std::string::npos) return bad_endpoint(url, "has more than a path");

  std::string_view host = rest, port;
  if (rest.starts_with('[')) {
    const std::size_t close = rest.find(']');
    if (close == std::string_view::npos) return bad_endpoint(url, "has a '[' without ']'");
    host = rest.substr(1, close - 1);
    port = rest.substr(close + 1);
    if (host.find_first_not_of("0123456789abcdefABCDEF:.") != std::string_view::npos || host.empty()) {
      return bad_endpoint(url, "has a bad IPv6 address");
    }
  } else {
    const std::size_t colon = rest.find(':');
    host = rest.substr(0, colon);
    port = colon == std::string_view::npos ? std::string_view() : rest.substr(colon);
    if (host.empty() || !std::all_of(host.begin(), host.end(), is_host_char))
      return bad_endpoint(url, "has a bad host");
  }
  parts.host = host;
  parts.authority = rest.substr(0, rest.size() - port.size());
  if (!port.empty()) {
    int number = 0;
    const auto [end, error] = std::from_chars(port.data() + 1, port.data() + port.size(), number);
    if (port.front() != ':' || error != std::errc{} || end != port.data() + port.size() || number < 1 ||
        number > 65535) {
      return bad_endpoint(url, "has a bad port");
    }
    if (number != (parts.scheme == "https" ? 443 : 80)) parts.authority += ":" + std::to_string(number);
  }
  return parts;
}

}  // namespace imgrec::aws
