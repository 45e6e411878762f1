// Percent-encoding as AWS wants it (RFC 3986), and query strings.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/base/result.hpp"

namespace imgrec::aws {

/// Names and values, not encoded, in the order in which they are sent.
using QueryPairs = std::vector<std::pair<std::string, std::string>>;

enum class Slash { encode, keep };

/// Every byte but A-Z a-z 0-9 - . _ ~ becomes %XX in capitals.
std::string uri_encode(std::string_view text, Slash slash);

/// The reverse; a '%' that begins no escape stays as it is, '+' is no space.
std::string uri_decode(std::string_view text);

/// "a=1&b=": every pair gets its '='. Without the '?'.
std::string to_query_string(const QueryPairs& pairs);
QueryPairs parse_query_string(std::string_view query);

struct UrlParts {
  std::string scheme;     // "https" or "http"
  std::string authority;  // host[:port], as the Host header carries it: without the scheme's own port
  std::string host;       // without port, without brackets
  std::string path;       // as given; empty when there is none
};

/// An endpoint: scheme, host, port and path. A user name, a query or a fragment in it is refused.
/// Errors: invalid "bad_endpoint".
Result<UrlParts> parse_endpoint(std::string_view url);

}  // namespace imgrec::aws
