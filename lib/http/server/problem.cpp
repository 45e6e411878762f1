#include "lib/http/server/problem.hpp"

#include <algorithm>
#include <array>

#include "lib/base/json_writer.hpp"

namespace imgrec {

std::string_view reason_phrase(int status) {
  // RFC 9110, section 15, and RFC 6585 (428, 429, 431).
  static constexpr std::array<std::pair<int, std::string_view>, 46> kReasons = {{
      {100, "Continue"},
      {101, "Switching Protocols"},
      {200, "OK"},
      {201, "Created"},
      {202, "Accepted"},
      {203, "Non-Authoritative Information"},
      {204, "No Content"},
      {205, "Reset Content"},
      {206, "Partial Content"},
      {300, "Multiple Choices"},
      {301, "Moved Permanently"},
      {302, "Found"},
      {303, "See Other"},
      {304, "Not Modified"},
      {307, "Temporary Redirect"},
      {308, "Permanent Redirect"},
      {400, "Bad Request"},
      {401, "Unauthorized"},
      {402, "Payment Required"},
      {403, "Forbidden"},
      {404, "Not Found"},
      {405, "Method Not Allowed"},
      {406, "Not Acceptable"},
      {407, "Proxy Authentication Required"},
      {408, "Request Timeout"},
      {409, "Conflict"},
      {410, "Gone"},
      {411, "Length Required"},
      {412, "Precondition Failed"},
      {413, "Content Too Large"},
      {414, "URI Too Long"},
      {415, "Unsupported Media Type"},
      {416, "Range Not Satisfiable"},
      {417, "Expectation Failed"},
      {421, "Misdirected Request"},
      {422, "Unprocessable Content"},
      {426, "Upgrade Required"},
      {428, "Precondition Required"},
      {429, "Too Many Requests"},
      {431, "Request Header Fields Too Large"},
      {500, "Internal Server Error"},
      {501, "Not Implemented"},
      {502, "Bad Gateway"},
      {503, "Service Unavailable"},
      {504, "Gateway Timeout"},
      {505, "HTTP Version Not Supported"},
  }};
  const auto found = std::find_if(kReasons.begin(), kReasons.end(), [&](const auto& r) { return r.first == status; });
  return found == kReasons.end() ? std::string_view{} : found->second;
}

Response to_response(const Problem& problem, const RequestId& request) {
  JsonWriter json;
  json.begin_object().member("type", problem.type).member("title", problem.title).member("status", problem.status);
  json.member("code", problem.code).member("detail", problem.detail).member("retryable", problem.retryable);
  json.member("request_id", request.str()).end_object();
  Response response;
  response.status = problem.status;
  response.content_type = "application/problem+json";
  response.body = json.finish() + "\n";
  return response;
}

Response problem_response(int status, std::string_view code, std::string_view detail, const RequestId& request) {
  const bool retryable = status == 408 || status == 429 || status == 503 || status == 504;
  return to_response(
      {.status = status, .code = code, .title = reason_phrase(status), .detail = detail, .retryable = retryable},
      request);
}

}  // namespace imgrec
