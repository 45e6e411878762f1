#include "lib/http/load/target.hpp"

#include <algorithm>
#include <charconv>

#include "lib/base/text.hpp"

namespace imgrec::load {
namespace {

bool is_port(std::string_view text) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && value >= 1 && value <= 65'535;
}

// What may stand in a request line and a Host header without being another line.
bool is_plain(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) > 0x20 && c != 0x7F; });
}

}  // namespace

Result<Target> parse_target(const std::string& url) {
  const auto bad = [&](const std::string& why) {
    return fail(ErrorKind::invalid, "bad_url", "The address " + json_quote(url) + " cannot be used: " + why + ".");
  };
  Target target;
  std::string_view rest = url;
  const std::string begin = to_lower(rest.substr(0, 8));
  if (begin.starts_with("https://")) {
    target.tls = true;
    rest.remove_prefix(8);
  } else if (begin.starts_with("http://")) {
    rest.remove_prefix(7);
  } else {
    return bad("it does not begin with http:// or https://");
  }
  if (!is_plain(rest)) return bad("it has spaces or control characters");
  rest = rest.substr(0, rest.find('#'));
  const std::size_t slash = std::min(rest.find_first_of("/?"), rest.size());
  std::string_view authority = rest.substr(0, slash);
  target.path = rest.substr(slash);
  if (!target.path.starts_with('/')) target.path.insert(0, "/");
  if (authority.contains('@')) return bad("user and password do not belong in it; keys come from the environment");
  std::string_view host = authority, port;
  if (authority.starts_with('[')) {
    const std::size_t end = authority.find(']');
    if (end == authority.npos) return bad("a bracket is not closed");
    host = authority.substr(1, end - 1);
    port = authority.substr(end + 1);
    if (!port.empty() && port.front() != ':') return bad("something follows the bracket");
  } else if (const std::size_t colon = authority.find(':'); colon != authority.npos) {
    host = authority.substr(0, colon);
    port = authority.substr(colon);
  }
  if (host.empty()) return bad("it names no host");
  if (!port.empty()) port.remove_prefix(1);
  const std::string_view own_port = target.tls ? "443" : "80";
  if (port.empty()) port = own_port;
  if (!is_port(port)) return bad("the port is no number from 1 to 65535");
  target.host = host;
  target.port = port;
  const std::string shown = host.contains(':') ? "[" + target.host + "]" : target.host;
  target.authority = port == own_port ? shown : shown + ":" + target.port;
  return target;
}

}  // namespace imgrec::load
