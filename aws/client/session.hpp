// What calls to AWS share: endpoints, credentials, one HttpClient with its kept connections, clock, randomness, and one
// Caller per service, so that retry quota and clock skew are learnt once for all adapters.
//
// Threads   safe.
// Lifetime  adapters refer to the session: it outlives them. Clock and Rng outlive it.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "aws/client/call.hpp"
#include "aws/client/imds.hpp"
#include "aws/client/profile.hpp"

namespace imgrec::aws {

struct SessionParts {
  EndpointSettings endpoints;
  std::unique_ptr<HttpClient> http;
  std::unique_ptr<CredentialsProvider> credentials;
  std::unique_ptr<Imds> imds;  // null: this machine is told to ask for no instance metadata
  RetryOptions retry;
};

class Session {
 public:
  Session(SessionParts parts, Clock& clock, Rng& rng);

  const EndpointSettings& endpoints() const { return parts_.endpoints; }
  const std::string& region() const { return parts_.endpoints.region; }
  HttpClient& http() { return *parts_.http; }
  CredentialsProvider& credentials() { return *parts_.credentials; }
  /// Null where instance metadata is disabled.
  Imds* imds() { return parts_.imds.get(); }
  Clock& clock() { return clock_; }
  Rng& rng() { return rng_; }

  /// service: the signing name, as for endpoint_for(). The same one for everybody.
  Caller& caller(const std::string& service);

  /// A call in the query protocol (EC2, STS, IAM, Auto Scaling, CloudWatch), for which an XML document is the answer.
  /// parameters: without Action and Version. A failure of the endpoint's configuration has no status.
  CallResult query(CallName name, const QueryPairs& parameters, Deadline deadline, std::stop_token stop);

 private:
  SessionParts parts_;
  Clock& clock_;
  Rng& rng_;
  std::mutex mutex_;
  std::map<std::string, std::unique_ptr<Caller>> callers_;
};

struct SessionConfig {
  std::string region{};        // empty: as the environment and the profile say
  std::string endpoint_url{};  // for every service; empty: as the environment and the profile say
  std::string user_agent = "imgrec";
};

/// The session that this environment describes: AWS_* variables, ~/.aws, then roles of containers and instances.
/// AWS_CA_BUNDLE, or the profile's ca_bundle, names the only authorities to be trusted. No call is made yet. Lines
/// of files that are passed over are logged. Errors: invalid "bad_aws_config", "bad_region", "bad_endpoint",
/// "bad_ca_bundle" …; as of load_profiles().
Result<std::unique_ptr<Session>> open_session(const Environment& environment, const SessionConfig& config, Clock& clock,
                                              Rng& rng);

}  // namespace imgrec::aws
