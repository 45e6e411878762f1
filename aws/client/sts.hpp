// Roles: the Security Token Service's AssumeRole and AssumeRoleWithWebIdentity.
#pragma once

#include <stop_token>

#include "aws/client/call.hpp"
#include "aws/client/profile_chain.hpp"

namespace imgrec::aws {

struct StsContext {
  const EndpointSettings& endpoints;
  HttpClient& http;
  Clock& clock;
  Rng& rng;
};

Result<Credentials> assume_role(const StsContext& context, const Credentials& base, const RoleStep& role,
                                std::stop_token stop);
/// token: what the identity provider issued.
Result<Credentials> assume_role_with_web_identity(const StsContext& context, const WebIdentity& identity,
                                                  const Secret& token, std::stop_token stop);

/// RFC 3339 with Z or an offset, as AWS and credential processes write it. Errors: invalid "bad_time".
Result<WallTime> parse_expiry(std::string_view text);

}  // namespace imgrec::aws
