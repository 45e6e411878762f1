// The HttpClient on libcurl: connections are kept and reused, TLS is verified, proxies as the environment says.
#pragma once

#include <memory>
#include <string>

#include "lib/ports/http_client.hpp"

namespace imgrec {

/// user_agent: "imgrec/0.1.0". Throws nothing; initialises libcurl once per process.
std::unique_ptr<HttpClient> make_curl_client(std::string user_agent);

}  // namespace imgrec
