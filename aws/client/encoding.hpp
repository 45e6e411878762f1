// Digests as AWS writes them.
#pragma once

#include <string>
#include <string_view>

namespace imgrec::aws {

/// "9f86…" → the base64 of the bytes that the hex digits mean; an odd or foreign digit ends it.
std::string base64_of_hex(std::string_view hex);

}  // namespace imgrec::aws
