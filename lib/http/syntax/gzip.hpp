// Content-Encoding: gzip, undone within limits (RFC 1952).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "lib/base/result.hpp"

namespace imgrec {

/// How many bytes the text says that it unpacks to: what gunzip() needs memory for. 0 for what is no gzip.
std::uint64_t gunzipped_size(std::string_view packed);

/// Unpacks one gzip member. Errors (invalid): "body_too_large" when there are more than bytes_max; "bad_gzip" when it
/// is cut off or damaged, does not have the size that it says, or something follows it.
Result<std::string> gunzip(std::string_view packed, std::uint64_t bytes_max);

}  // namespace imgrec
