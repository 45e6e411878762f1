// How a stored object is encrypted: a service that only speaks like S3 may ignore the key that a put names.
#pragma once

#include <string>

#include "aws/client/session.hpp"
#include "lib/base/clock.hpp"
#include "lib/base/ids.hpp"

namespace imgrec::aws {

struct ObjectEncryption {
  std::string algorithm;  // "AES256", "aws:kms"; empty: none is told
  std::string kms_key;    // its ARN; empty without KMS
};

/// Errors: not_found; as the call layer's.
Result<ObjectEncryption> encryption_of(Session& session, const std::string& bucket, const ObjectKey& key,
                                       const CallLimits& limits);

}  // namespace imgrec::aws
