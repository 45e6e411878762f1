// What a service says about a failed call, in any of AWS's wire formats.
#pragma once

#include <string>

#include "lib/ports/http_client.hpp"

namespace imgrec::aws {

struct ServiceError {
  std::string code;     // "QueueDoesNotExist"; empty when the answer names none
  std::string message;  // the service's words; valid UTF-8, without control characters, bounded
  std::string request_id;
};

/// The first header of that name (lower case); empty when there is none.
std::string header_value(const HttpHeaders& headers, std::string_view name);

/// The request's id, for AWS's support.
std::string request_id_of(const HttpHeaders& headers);

/// From headers and body of a response that is no success: awsJson, query, EC2 and S3 errors alike.
ServiceError parse_service_error(const HttpClientResponse& response);

}  // namespace imgrec::aws
