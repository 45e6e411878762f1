// The HttpClient on libcurl: connections are kept and reused, TLS is verified, proxies as the environment says
// (http_proxy, https_proxy, all_proxy, no_proxy), but for this machine's own addresses.
#pragma once

#include <memory>
#include <string>

#include "lib/ports/http_client.hpp"

namespace imgrec {

struct CurlClientOptions {
  std::string user_agent;   // "imgrec/0.1.0"
  std::string ca_bundle{};  // PEM file of the only authorities to be trusted; empty: this machine's
};

/// Throws nothing; initialises libcurl once per process.
std::unique_ptr<HttpClient> make_curl_client(CurlClientOptions options);

}  // namespace imgrec
