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

/// {"type":"about:blank","title":reason,"status":…,"code":…,"detail":…,"request_id":…}
Response problem_response(int status, std::string_view code, std::string_view detail, const RequestId& request);

}  // namespace imgrec
