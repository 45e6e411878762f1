// Whether a service that speaks S3 obeys the conditions of a put. S3 itself does since 2024; others refuse or ignore
// them.
#pragma once

#include <string>

#include "aws/client/session.hpp"
#include "lib/base/clock.hpp"
#include "lib/base/ids.hpp"

namespace imgrec::aws {

struct ConditionalPuts {
  enum class Kind { obeyed, ignored, refused } kind = Kind::obeyed;
  std::string header;  // of the first condition that is not obeyed: "If-None-Match", "If-Match"
};

struct ExistingObject {
  std::string bucket;
  ObjectKey key;
  std::string bytes;
  HttpHeaders headers{};  // sent with each put, such as s3_encryption_headers()
};

/// Puts an object that is there once more, with the same bytes, on conditions that do not hold: a service that obeys
/// answers 412, and one that ignores them changes nothing. Errors: as the call layer's.
Result<ConditionalPuts> probe_conditional_puts(Session& session, const ExistingObject& object,
                                               const CallLimits& limits);

}  // namespace imgrec::aws
