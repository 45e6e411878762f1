// Small text helpers.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace imgrec {

/// A JSON string literal with its quotes. Bytes that are no valid UTF-8 become U+FFFD; control characters are escaped.
std::string json_quote(std::string_view text);

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
