// Errors for programs: application/problem+json (RFC 9457).
#pragma once

#include <string>
#include <string_view>

#include "lib/base/ids.hpp"
#include "lib/base/result.hpp"
#include "lib/http/server/server.hpp"

namespace imgrec {

/// "Bad Request" for 400 …; empty for a status unknown to it.
std::string_view reason_phrase(int status);

struct Problem {
  std::string type = "about:blank";  // the address of a page about this kind of problem
  int status = 500;
  std::string_view code, title, detail;
  bool retryable = false;  // the same request may succeed later
};
/// {"type":…,"title":…,"status":…,"code":…,"detail":…,"retryable":…,"request_id":…}
Response to_response(const Problem& problem, const RequestId& request);

/// The same with the status' reason phrase as the title; retryable for 408, 429, 503 and 504.
Response problem_response(int status, std::string_view code, std::string_view detail, const RequestId& request);

}  // namespace imgrec
