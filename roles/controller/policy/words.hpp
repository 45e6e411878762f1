// Words that the sentences of several policies share. For policies alone.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>

namespace imgrec::policy_words {

/// "1 message", "2 messages".
inline std::string plural(std::uint64_t count, const char* noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

/// "1.2": one decimal below 10, none above.
inline std::string rounded(double value) {
  if (!(value < 1e9)) return "very many";
  const auto tenths = static_cast<std::int64_t>(std::llround(value * 10));
  if (value >= 10 || tenths % 10 == 0) return std::to_string(std::llround(value));
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10);
}

/// "4 ms", "1.2 s", "30 s".
inline std::string seconds_text(double seconds) {
  return seconds < 0.1 ? rounded(seconds * 1000) + " ms" : rounded(seconds) + " s";
}

}  // namespace imgrec::policy_words
