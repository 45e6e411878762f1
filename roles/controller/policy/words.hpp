// Words that the sentences of several policies share. For policies alone.
#pragma once

#include <cstdint>
#include <string>

namespace imgrec::policy_words {

/// "1 message", "2 messages".
inline std::string plural(std::uint64_t count, const char* noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

}  // namespace imgrec::policy_words
