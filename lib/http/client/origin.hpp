// The part of a URL that says whom a request goes to.
#pragma once

#include <string>
#include <string_view>

#include "lib/base/result.hpp"

namespace imgrec {

struct Origin {
  std::string text;  // "https://example.com:8443": what may be shown of a URL, whose path and query can hold secrets
  bool is_local = false;  // as is_local_host()
};

/// Errors: invalid "bad_url".
Result<Origin> origin_of(const std::string& url);

/// Loopback and link-local addresses, instance metadata in IPv6 (fd00:ec2::…): they mean another machine, or none, to a
/// proxy. host: as in a URL, IPv6 in brackets.
bool is_local_host(std::string_view host);

}  // namespace imgrec
