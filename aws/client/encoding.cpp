#include "aws/client/encoding.hpp"

#include <charconv>

#include "lib/base/base64.hpp"

namespace imgrec::aws {

std::string base64_of_hex(std::string_view hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 2 <= hex.size(); i += 2) {
    unsigned int byte = 0;
    const auto [end, error] = std::from_chars(&hex[i], &hex[i] + 2, byte, 16);
    if (error != std::errc{} || end != &hex[i] + 2) break;
    bytes += static_cast<char>(byte);
  }
  return base64_encode(bytes);
}

}  // namespace imgrec::aws
