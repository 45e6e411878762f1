// Every code of an error that the web tier answers with: its status, and what to do about it. HTTP.md and openapi.json
// list the same codes (tests hold them equal); /docs/errors/CODE shows what is written here.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace imgrec {

inline constexpr int kServiceUnavailable = 503;

struct ErrorCode {
  std::string_view code;
  int status;
  std::string_view advice;  // for the client's programmer: what happened, and what to do
};

std::span<const ErrorCode> error_codes();

/// Null for a code of an outage ("disk_full"), of which stores and queues have many.
const ErrorCode* find_error_code(std::string_view code);

/// For the code of an Error or of a JobError; of one that the table does not have 503 when it may succeed later.
int status_of(std::string_view code, bool retryable);

/// The `type` of a problem document: the page about the code, or about those like it.
std::string error_type(std::string_view code, int status);

/// "image_truncated" → "Image truncated"
std::string error_title(std::string_view code);

}  // namespace imgrec
