#include "lib/http/syntax/request_head.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "lib/base/text.hpp"
#include "lib/http/syntax/syntax.hpp"

namespace imgrec::http {
namespace {

constexpr std::size_t kHeadersMax = 100;

std::unexpected<Refusal> refuse(int status, std::string code, std::string detail) {
  return std::unexpected(Refusal{status, std::move(code), std::move(detail)});
}

HeadScan refused(int status, std::string code, std::string detail) {
  return {HeadState::refused, 0, {status, std::move(code), std::move(detail)}};
}

// A browser may send the others unescaped; these four are never part of a URI, and '#' never reaches a server.
bool is_target_char(char c) {
  return c > 0x20 && c < 0x7F && std::string_view("\"<>\\#").find(c) == std::string_view::npos;
}

struct Target {
  std::string path;
  std::vector<std::pair<std::string, std::string>> query;
};

// The path and query of any of RFC 9112's forms but the authority form, which belongs to CONNECT.
std::expected<Target, Refusal> parse_target(std::string_view target, std::string_view method) {
  const auto bad = [](std::string detail) { return refuse(400, "bad_target", std::move(detail)); };
  if (target.empty() || !std::all_of(target.begin(), target.end(), is_target_char)) {
    return bad("The request target has characters that must be percent-encoded.");
  }
  if (target == "*") {
    if (method != "OPTIONS") return bad("The target * belongs to OPTIONS only.");
    return Target{"/", {}};
  }
  if (target.front() != '/') {  // absolute form: as to a proxy; every server must accept it (section 3.2.2)
    const auto scheme_end = target.find("://");
    const auto scheme = target.substr(0, scheme_end);
    if (scheme_end == std::string_view::npos ||
        !(equals_ignoring_case(scheme, "http") || equals_ignoring_case(scheme, "https"))) {
      return bad("The request target neither begins with / nor is an http URL.");
    }
    target.remove_prefix(scheme_end + 3);
    const auto authority = target.substr(0, target.find_first_of("/?"));
    if (authority.empty() || authority.find('@') != std::string_view::npos)
      return bad("The request target has no host.");
    target.remove_prefix(authority.size());
  }
  const auto path_end = std::min(target.find('?'), target.size());
  auto path = percent_decode(target.substr(0, path_end));
  if (!path) return bad("The path has a % that is not followed by two hex digits.");
  if (path->empty()) *path = "/";
  if (path->find('\0') != std::string::npos) return bad("The path has a NUL.");
  Target parsed{std::move(*path), {}};
  if (path_end == target.size()) return parsed;
  for (const auto pair : split(target.substr(path_end + 1), '&')) {
    if (pair.empty()) continue;
    const auto equals = std::min(pair.find('='), pair.size());
    auto name = percent_decode(pair.substr(0, equals), true);
    auto value = percent_decode(pair.substr(std::min(equals + 1, pair.size())), true);
    if (!name || !value) return bad("The query has a % that is not followed by two hex digits.");
    parsed.query.emplace_back(std::move(*name), std::move(*value));
  }
  return parsed;
}

std::expected<void, Refusal> parse_request_line(std::string_view line, RequestHead& head) {
  const auto malformed = [] {
    return refuse(400, "bad_request_line", "The request line is not METHOD TARGET HTTP/1.1.");
  };
  const auto first = line.find(' ');
  const auto last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) return malformed();
  const auto method = line.substr(0, first), target = line.substr(first + 1, last - first - 1),
             version = line.substr(last + 1);
  if (!is_token(method) || target.find(' ') != std::string_view::npos) return malformed();
  if (version.size() != 8 || !version.starts_with("HTTP/") || !is_digit(version[5]) || version[6] != '.' ||
      !is_digit(version[7])) {
    return malformed();
  }
  if (version != "HTTP/1.1" && version != "HTTP/1.0") {
    return refuse(505, "version_not_supported", "This server speaks HTTP/1.1 and HTTP/1.0.");
  }
  head.version_minor = version[7] - '0';
  static constexpr std::array<std::string_view, 9> kMethods = {"GET",    "HEAD",    "POST",  "PUT",  "PATCH",
                                                               "DELETE", "OPTIONS", "TRACE", "QUERY"};
  if (std::find(kMethods.begin(), kMethods.end(), method) == kMethods.end()) {
    return refuse(501, "method_not_implemented",
                  "The method is none of GET HEAD POST PUT PATCH DELETE OPTIONS TRACE QUERY.");
  }
  auto parsed = parse_target(target, method);
  if (!parsed) return std::unexpected(parsed.error());
  head.method = method;
  head.target = target;
  head.path = std::move(parsed->path);
  head.query = std::move(parsed->query);
  return {};
}

std::expected<void, Refusal> parse_header_line(std::string_view line, RequestHead& head) {
  const auto malformed = [](std::string detail) { return refuse(400, "bad_header", std::move(detail)); };
  if (line.front() == ' ' || line.front() == '\t') return malformed("A header line is folded, which is obsolete.");
  const auto colon = line.find(':');
  if (colon == std::string_view::npos) return malformed("A header line has no colon.");
  const auto name = line.substr(0, colon);
  if (!is_token(name)) return malformed("A header's name has forbidden characters (or a space before the colon).");
  if (head.headers.size() >= kHeadersMax) {
    return refuse(431, "too_many_headers", "The request has more than " + std::to_string(kHeadersMax) + " headers.");
  }
  head.headers.emplace_back(to_lower(name), trim_ows(line.substr(colon + 1)));
  return {};
}

std::vector<std::string_view> values_of(const RequestHead& head, std::string_view name) {
  std::vector<std::string_view> values;
  for (const auto& [key, value] : head.headers) {
    if (key == name) values.push_back(value);
  }
  return values;
}

// The elements of a list header, over all its lines.
std::vector<std::string_view> list_of(const RequestHead& head, std::string_view name) {
  std::vector<std::string_view> elements;
  for (const auto value : values_of(head, name)) {
    for (const auto element : split(value, ',')) {
      if (const auto trimmed = trim_ows(element); !trimmed.empty()) elements.push_back(trimmed);
    }
  }
  return elements;
}

bool has_token(const std::vector<std::string_view>& list, std::string_view token) {
  return std::any_of(list.begin(), list.end(), [&](auto element) { return equals_ignoring_case(element, token); });
}

std::expected<void, Refusal> check_host(const RequestHead& head) {
  const auto hosts = values_of(head, "host");
  if (hosts.size() > 1 || (hosts.empty() && head.version_minor == 1)) {
    return refuse(400, "bad_host", "An HTTP/1.1 request has exactly one Host header.");
  }
  // uri-host [":" port] of RFC 3986, by its characters.
  const auto is_host_char = [](char c) {
    return c > 0x20 && c < 0x7F && std::string_view("\"<>\\^`{|}/?#@,").find(c) == std::string_view::npos;
  };
  if (!hosts.empty() && !std::all_of(hosts[0].begin(), hosts[0].end(), is_host_char)) {
    return refuse(400, "bad_host", "The Host header is not a host with an optional port.");
  }
  return {};
}

// RFC 9112, section 6: every framing that another server could read differently is refused.
std::expected<void, Refusal> check_framing(RequestHead& head) {
  const auto bad = [](std::string detail) { return refuse(400, "bad_framing", std::move(detail)); };
  const auto codings = values_of(head, "transfer-encoding");
  const auto lengths = values_of(head, "content-length");
  if (!codings.empty() && !lengths.empty()) return bad("Both Transfer-Encoding and Content-Length are there.");
  if (codings.size() > 1 || lengths.size() > 1) return bad("Transfer-Encoding or Content-Length is there twice.");
  if (!codings.empty()) {
    if (head.version_minor == 0) return bad("HTTP/1.0 has no Transfer-Encoding.");
    head.chunked = equals_ignoring_case(codings[0], "chunked");
    if (!head.chunked) {
      const auto list = list_of(head, "transfer-encoding");
      const auto chunked_count =
          std::count_if(list.begin(), list.end(), [](auto coding) { return equals_ignoring_case(coding, "chunked"); });
      if (chunked_count != 1 || !equals_ignoring_case(list.back(), "chunked")) {
        return bad("Transfer-Encoding does not end in one chunked, so the body has no end.");
      }
      return refuse(501, "coding_not_implemented", "The only Transfer-Encoding understood here is chunked.");
    }
  }
  if (!lengths.empty()) {
    const auto text = lengths[0];
    // 18 digits: an exabyte, and no overflow.
    if (text.empty() || text.size() > 18 || !std::all_of(text.begin(), text.end(), is_digit)) {
      return bad("Content-Length is not a decimal number.");
    }
    std::from_chars(text.data(), text.data() + text.size(), head.content_length);
  }
  return {};
}

std::expected<void, Refusal> check_expectation(RequestHead& head) {
  const auto expectations = values_of(head, "expect");
  if (expectations.empty() || head.version_minor == 0) return {};
  if (expectations.size() > 1 || !equals_ignoring_case(expectations[0], "100-continue")) {
    return refuse(417, "expectation_failed", "The only expectation understood here is 100-continue.");
  }
  head.expects_continue = head.chunked || head.content_length > 0;
  return {};
}

}  // namespace

HeadScan scan_head(std::string_view bytes, std::size_t& scanned, std::uint64_t bytes_max) {
  if (bytes.starts_with("\x16\x03")) {
    return refused(400, "tls_on_plain_port", "This port speaks plain HTTP: use http:// instead of https://.");
  }
  const std::size_t begin = bytes.starts_with("\r\n") ? 2 : 0;
  for (std::size_t i = std::max(scanned, begin); i < bytes.size(); ++i) {
    if (i >= bytes_max) {
      return refused(431, "headers_too_large", "The headers have more than " + std::to_string(bytes_max) + " bytes.");
    }
    const char c = bytes[i];
    if (c == '\r') {
      if (i + 1 == bytes.size()) {  // its LF has not arrived yet
        scanned = i;
        return {};
      }
      if (bytes[i + 1] != '\n') return refused(400, "bad_line_break", "A CR is not followed by an LF.");
      // An empty line: at the very beginning (then it is the second one), or after another line's end.
      if (i == begin || (i >= begin + 2 && bytes[i - 1] == '\n')) {
        if (i == begin) return refused(400, "bad_request_line", "The request line is empty.");
        scanned = i + 2;
        return {HeadState::complete, i + 2, {}};
      }
      ++i;
    } else if (!is_field_char(c)) {
      return c == '\n' ? refused(400, "bad_line_break", "An LF is not preceded by a CR.")
                       : refused(400, "control_character", "The headers have a control character.");
    }
  }
  scanned = bytes.size();
  return {};
}

std::expected<RequestHead, Refusal> parse_head(std::string_view text) {
  if (text.starts_with("\r\n")) text.remove_prefix(2);
  RequestHead head;
  bool is_first = true;
  while (text.size() > 2) {
    const auto end = text.find("\r\n");
    const auto line = text.substr(0, end);
    text.remove_prefix(end + 2);
    const auto parsed = is_first ? parse_request_line(line, head) : parse_header_line(line, head);
    if (!parsed) return std::unexpected(parsed.error());
    is_first = false;
  }
  if (auto checked = check_host(head); !checked) return std::unexpected(checked.error());
  if (auto checked = check_framing(head); !checked) return std::unexpected(checked.error());
  if (auto checked = check_expectation(head); !checked) return std::unexpected(checked.error());
  const auto connection = list_of(head, "connection");
  head.keep_alive = !has_token(connection, "close") && (head.version_minor == 1 || has_token(connection, "keep-alive"));
  return head;
}

}  // namespace imgrec::http
