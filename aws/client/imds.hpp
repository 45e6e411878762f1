// The metadata service of an EC2 instance, version 2 only: every read carries a session token, and there is no
// fall-back to version 1.
#pragma once

#include <mutex>
#include <string>

#include "aws/client/call.hpp"
#include "aws/client/profile.hpp"

namespace imgrec::aws {

/// From AWS_EC2_METADATA_SERVICE_ENDPOINT, …_ENDPOINT_MODE and the profile. Errors: invalid "bad_endpoint",
/// invalid "bad_endpoint_mode".
Result<Endpoint> imds_endpoint(const Environment& environment, const Profiles& profiles);

/// AWS_EC2_METADATA_DISABLED=true.
bool imds_disabled(const Environment& environment);

/// Thread-safe; http, clock and rng outlive it.
class Imds {
 public:
  Imds(Endpoint endpoint, HttpClient& http, Clock& clock, Rng& rng);
  /// "/latest/meta-data/…". Errors: not_found; denied "imds_forbidden"; transient as the transport's.
  Result<std::string> get(const std::string& path, std::stop_token stop);

 private:
  Result<std::string> token(std::stop_token stop);
  CallRequest request(std::string operation, std::string method, std::string path) const;

  const Endpoint endpoint_;
  Clock& clock_;
  Caller caller_;
  std::mutex mutex_;
  std::string token_;
  MonoTime token_ends_{};
};

}  // namespace imgrec::aws
