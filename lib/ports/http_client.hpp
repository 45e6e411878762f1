// Outgoing HTTP.
//
// Threads   safe; send() blocks until the response is complete, the deadline passed or a stop is requested (and the
//           request's stop_grace has passed since).
// TLS       verified. Redirects are followed only where the request says so, and only to https (or http to http).
// Failure   a response of any status is a success of this port; errors are transport failures: transient
//           "connection_failed", "connection_lost", "timeout"; denied "tls_not_trusted"; cancelled; invalid "bad_url",
//           "response_too_large".
#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/clock.hpp"
#include "lib/base/result.hpp"
#include "lib/base/units.hpp"

namespace imgrec {

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

struct HttpClientRequest {
  std::string method = "GET";
  std::string url;
  HttpHeaders headers;
  std::string body;
  ByteView borrowed_body{};  // when it is not empty, sent instead of body, without a copy; lives until send() returns
  Millis timeout{30'000};    // for the whole exchange
  Millis connect_timeout{5'000};
  Millis stall_timeout{20'000};  // no byte for so long: timeout
  /// After a stop the exchange may still complete for so long: for answers that nobody else would get.
  Millis stop_grace{0};
  bool follow_redirects = false;
  bool direct = false;                           // through no proxy, whatever the environment says
  std::uint64_t response_bytes_max = 16 * kMiB;  // of a body, also of one that goes to on_body
  /// When set, a body of a 2xx response goes here piece by piece (and not into HttpClientResponse::body); an error
  /// returned ends the transfer and is returned by send(). The status and the headers are known at the first call.
  std::function<Result<void>(ByteView piece, int status, const HttpHeaders& headers)> on_body;
};

struct HttpClientResponse {
  int status = 0;
  HttpHeaders headers;  // names in lower case
  std::string body;
};

class HttpClient {
 public:
  virtual ~HttpClient() = default;
  virtual Result<HttpClientResponse> send(const HttpClientRequest& request, std::stop_token stop) = 0;
};

}  // namespace imgrec
