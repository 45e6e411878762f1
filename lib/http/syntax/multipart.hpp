// multipart/form-data (RFC 7578), whole bodies in memory.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/result.hpp"
#include "lib/base/units.hpp"

namespace imgrec {

struct FormPart {
  std::string name;                     // of the field
  std::optional<std::string> filename;  // as sent, unescaped (%22, and filename*=UTF-8''…); bytes may be no UTF-8
  std::string content_type;             // empty when not sent
  ByteView body;                        // a view into the request's body
};

struct MultipartLimits {
  std::size_t parts_max = 200;
  std::size_t part_header_bytes_max = 8 * kKiB;
};

/// Errors (invalid): "not_multipart", "bad_multipart" (no or bad boundary, no final boundary, bad part header),
/// "too_many_parts".
Result<std::vector<FormPart>> parse_multipart(std::string_view content_type, ByteView body,
                                              const MultipartLimits& limits = {});

}  // namespace imgrec
