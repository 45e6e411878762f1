#include "lib/base/text.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <numeric>

namespace imgrec {
namespace {

// Length of the well-formed UTF-8 sequence at the start of text, or 0 (Unicode 15, table 3-7).
std::size_t utf8_sequence_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto in = [&](std::size_t i, unsigned low, unsigned high) {
    return i < text.size() && byte(i) >= low && byte(i) <= high;
  };
  const unsigned lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return in(1, 0x80, 0xBF) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF) {
    const unsigned low = lead == 0xE0 ? 0xA0 : 0x80, high = lead == 0xED ? 0x9F : 0xBF;
    return in(1, low, high) && in(2, 0x80, 0xBF) ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    const unsigned low = lead == 0xF0 ? 0x90 : 0x80, high = lead == 0xF4 ? 0x8F : 0xBF;
    return in(1, low, high) && in(2, 0x80, 0xBF) && in(3, 0x80, 0xBF) ? 4 : 0;
  }
  return 0;
}

constexpr std::size_t kWord = sizeof(std::uint64_t);
constexpr std::uint64_t kEachByte = 0x0101010101010101, kHighBits = 0x8080808080808080;

std::uint64_t load_word(const char* at) {
  std::uint64_t word = 0;
  std::memcpy(&word, at, kWord);
  return word;
}

// "Bit Twiddling Hacks" (S. E. Anderson), hasless(): not 0 when a byte is below `limit` (1 to 128).
constexpr std::uint64_t bytes_below(std::uint64_t word, std::uint64_t limit) {
  return (word - kEachByte * limit) & ~word & kHighBits;
}

constexpr std::uint64_t bytes_equal(std::uint64_t word, char byte) {
  return bytes_below(word ^ (kEachByte * static_cast<unsigned char>(byte)), 1);
}

constexpr bool is_control(char c) {
  return static_cast<unsigned char>(c) < 0x20;
}

// U+FFFE and U+FFFF at the start of text. They are UTF-8, but neither XML nor a message of SQS may hold them.
bool starts_with_noncharacter(std::string_view text) {
  return text.starts_with("\xEF\xBF\xBE") || text.starts_with("\xEF\xBF\xBF");
}

// Where the first byte is that json_quote() escapes, at or after `from`; the text's size when there is none.
std::size_t find_escaped(std::string_view text, std::size_t from) {
  for (; from + kWord <= text.size(); from += kWord) {
    const std::uint64_t word = load_word(text.data() + from);
    if ((bytes_below(word, 0x20) | bytes_equal(word, '"') | bytes_equal(word, '\\') | bytes_equal(word, '\x7F') |
         bytes_equal(word, '\xEF')) != 0) {
      break;
    }
  }
  const auto is_escaped = [](char c) { return is_control(c) || c == '"' || c == '\\' || c == '\x7F'; };
  while (from < text.size() && !is_escaped(text[from]) && !starts_with_noncharacter(text.substr(from))) ++from;
  return from;
}

// Appends what stands at the start of text and returns its bytes there.
std::size_t append_escaped(std::string& out, std::string_view text) {
  if (starts_with_noncharacter(text)) {
    out += text[2] == '\xBE' ? "\\ufffe" : "\\uffff";
    return 3;
  }
  switch (const char c = text[0]) {
    case '"': out += "\\\""; break;
    case '\\': out += "\\\\"; break;
    case '\n': out += "\\n"; break;
    case '\r': out += "\\r"; break;
    case '\t': out += "\\t"; break;
    default: {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(static_cast<unsigned char>(c)));
      out += escape;
    }
  }
  return 1;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0]++;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t substituted = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({substituted, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::string to_valid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::size_t length = utf8_sequence_length(text);
    if (length == 0) {
      out += "\xEF\xBF\xBD";
      text.remove_prefix(1);
    } else {
      out += text.substr(0, length);
      text.remove_prefix(length);
    }
  }
  return out;
}

bool is_valid_utf8(std::string_view text) {
  while (!text.empty()) {
    while (text.size() >= kWord && (load_word(text.data()) & kHighBits) == 0) text.remove_prefix(kWord);  // ASCII
    if (text.empty()) break;
    const std::size_t length = utf8_sequence_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::size_t find_control(std::string_view text, std::size_t from) {
  while (from + kWord <= text.size() && bytes_below(load_word(text.data() + from), 0x20) == 0) from += kWord;
  while (from < text.size() && !is_control(text[from])) ++from;
  return from < text.size() ? from : std::string_view::npos;
}

void append_json_quoted(std::string& out, std::string_view text) {
  if (!is_valid_utf8(text)) return append_json_quoted(out, to_valid_utf8(text));
  out += '"';
  for (std::size_t from = 0; from < text.size();) {
    const std::size_t end = find_escaped(text, from);
    out += text.substr(from, end - from);
    from = end < text.size() ? end + append_escaped(out, text.substr(end)) : end;
  }
  out += '"';
}

std::string json_quote(std::string_view text) {
  std::string out;
  append_json_quoted(out, text);
  return out;
}

std::string nearest(std::string_view text, std::span<const std::string> candidates) {
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(2, text.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    const std::size_t distance = edit_distance(text, candidate);
    if (distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

std::string to_lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

}  // namespace imgrec
