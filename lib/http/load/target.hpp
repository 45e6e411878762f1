// Whom a workload is sent to: the parts of its URL.
#pragma once

#include <string>

#include "lib/base/result.hpp"

namespace imgrec::load {

struct Target {
  bool tls = false;
  std::string host;       // a name or an address, IPv6 without brackets
  std::string port;       // digits
  std::string authority;  // as the Host header has it: without the scheme's own port
  std::string path;       // begins with "/", may have a query

  /// "http://127.0.0.1:8000": what the service is reached at, without the path.
  std::string origin() const { return (tls ? "https://" : "http://") + authority; }
};

/// http:// or https://, without user and password; a fragment is dropped.
/// Errors: invalid "bad_url".
Result<Target> parse_target(const std::string& url);

}  // namespace imgrec::load
