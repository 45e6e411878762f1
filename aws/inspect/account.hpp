// Who this session is to AWS, and whether its services can be reached. For `imgrec doctor`: nothing is changed.
#pragma once

#include <string>

#include "aws/client/session.hpp"
#include "lib/base/clock.hpp"

namespace imgrec::aws {

struct Identity {
  std::string arn;       // "arn:aws:iam::123456789012:user/deployer"
  Millis clock_skew{0};  // how far AWS's clock is ahead of this machine's
};

/// Asks STS. Errors: denied when the credentials are none of AWS's, or ended; as the call layer's.
Result<Identity> caller_identity(Session& session, const CallLimits& limits);

struct ServiceAnswer {
  std::string url;
  Millis took{0};
};

/// One request without credentials to the service's endpoint; any HTTP answer counts. service: as for endpoint_for().
/// Errors: as endpoint_for(), as HttpClient::send().
Result<ServiceAnswer> reach_service(Session& session, const std::string& service, Millis timeout);

}  // namespace imgrec::aws
