// Entity tags (RFC 9110, sections 8.8.3 and 13.1.2).
#pragma once

#include <string_view>

namespace imgrec {

/// True when If-None-Match names the entity tag (with its quotes), or is "*": the client has it. W/ makes no
/// difference.
bool etag_matches(std::string_view if_none_match, std::string_view etag);

}  // namespace imgrec
