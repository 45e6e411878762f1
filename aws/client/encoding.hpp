// Digests as AWS writes them.
#pragma once

#include <string>
#include <string_view>

#include "lib/base/units.hpp"

namespace imgrec::aws {

/// RFC 4648, with padding.
std::string base64_encode(ByteView bytes);

/// "9f86…" → the base64 of the bytes that the hex digits mean; an odd or foreign digit ends it.
std::string base64_of_hex(std::string_view hex);

}  // namespace imgrec::aws
