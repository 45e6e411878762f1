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
  std::optional<Error> error;           // invalid "bad_multipart": its headers are unreadable, and it has no body here
};

struct MultipartLimits {
  std::size_t parts_max = 200;
  std::size_t part_header_bytes_max = 8 * kKiB;
};

/// A part that cannot be read costs the others nothing (FormPart::error). Understood is also what clients write against
/// the standards: boundaries of any visible characters but the quote, lines that end in LF alone (throughout), quotes
/// in quoted values that are not escaped. Errors (invalid): "not_multipart", "bad_multipart" (no or bad boundary, no
/// final boundary, no part that can be read), "too_many_parts".
Result<std::vector<FormPart>> parse_multipart(std::string_view content_type, ByteView body,
                                              const MultipartLimits& limits = {});

/// The file name of a Content-Disposition header of a whole message (RFC 6266): filename*, else filename, with quotes
/// removed. Nothing when there is none or the header is malformed.
std::optional<std::string> disposition_filename(std::string_view content_disposition);

}  // namespace imgrec
