// Base64 (RFC 4648, section 4).
#pragma once

#include <string>
#include <string_view>

#include "lib/base/result.hpp"
#include "lib/base/units.hpp"

namespace imgrec {

/// With padding.
std::string base64_encode(ByteView bytes);

/// The bytes that the text means. Padding may be left out. Errors: invalid "bad_base64" for any other character (line
/// breaks too) and for a text that ends within a byte.
Result<std::string> base64_decode(std::string_view text);

}  // namespace imgrec
