// The one table from AWS's error codes to ErrorKind, and the words for people.
#pragma once

#include <string>
#include <string_view>

#include "aws/client/retry.hpp"
#include "aws/client/wire/service_error.hpp"
#include "lib/base/result.hpp"

namespace imgrec::aws {

struct CallName {
  std::string service;    // as it is signed: "sqs", "monitoring"
  std::string operation;  // "SendMessageBatch"
};

/// "SQS SendMessageBatch"
std::string display_name(const CallName& call);

struct Classified {
  Error error;
  RetryClass retry = RetryClass::none;
};

/// Codes that the table does not know take their kind from the HTTP status.
Classified classify(const CallName& call, int status, const ServiceError& error);

/// The credentials ended, or were replaced: fresh ones may be accepted.
bool is_credentials_error(std::string_view aws_code);

}  // namespace imgrec::aws
