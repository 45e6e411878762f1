// Small text helpers.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace imgrec {

/// A JSON string literal with its quotes. Bytes that are no valid UTF-8 become U+FFFD; control characters, U+FFFE and
/// U+FFFF are escaped, so that a message of any queue may hold it.
std::string json_quote(std::string_view text);
/// The same, at the end of `out`.
void append_json_quoted(std::string& out, std::string_view text);

/// Where the first control character (below 0x20) is, at or after `from`; npos when there is none.
std::size_t find_control(std::string_view text, std::size_t from = 0);

/// The text with every byte that is no valid UTF-8 replaced by U+FFFD.
std::string to_valid_utf8(std::string_view text);

/// True for well-formed UTF-8 (no overlong forms, no surrogates).
bool is_valid_utf8(std::string_view text);

/// The candidate with the smallest edit distance, for "did you mean …?"; empty when none is near (more than a third of
/// the letters differ).
std::string nearest(std::string_view text, std::span<const std::string> candidates);

std::vector<std::string_view> split(std::string_view text, char separator);
std::string_view trim(std::string_view text);
std::string to_lower(std::string_view text);  // ASCII only

}  // namespace imgrec
