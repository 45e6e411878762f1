// Characters and escapes that HTTP's and MIME's grammars share. Private to lib/http.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace imgrec::http {

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// tchar of RFC 9110, section 5.6.2.
constexpr bool is_token_char(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

/// A non-empty token.
bool is_token(std::string_view text);

/// Space, tab, visible characters and bytes above 0x7F: what a field value may hold.
constexpr bool is_field_char(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte == '\t' || (byte >= 0x20 && byte != 0x7F);
}

/// 0 to 15, or -1.
constexpr int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// Nothing when a % is not followed by two hex digits.
std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space = false);

/// Compares ASCII letters without regard to case.
bool equals_ignoring_case(std::string_view a, std::string_view b);

/// Without spaces and tabs at both ends (OWS).
std::string_view trim_ows(std::string_view text);

}  // namespace imgrec::http
