#include "aws/encoding.hpp"

#include <openssl/evp.h>

#include <array>
#include <charconv>
#include <memory>

namespace imgrec::aws {
namespace {

struct DigestDeleter {
  void operator()(EVP_MD* digest) const { EVP_MD_free(digest); }
};
using Digest = std::unique_ptr<EVP_MD, DigestDeleter>;

}  // namespace

std::string base64_encode(ByteView bytes) {
  std::string out((bytes.size() + 2) / 3 * 4 + 1, '\0');  // and the zero that OpenSSL appends
  const int size =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                      reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  out.resize(static_cast<std::size_t>(size));
  return out;
}

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

std::string md5_hex(ByteView bytes) {
  // Fetched once: looking an algorithm up costs more than hashing a message.
  static const Digest md5(EVP_MD_fetch(nullptr, "MD5", nullptr));
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  if (!md5 || EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, md5.get(), nullptr) != 1) return "";
  constexpr char kHex[] = "0123456789abcdef";
  std::string text;
  for (unsigned int i = 0; i < size; ++i) {
    text += kHex[digest[i] >> 4];
    text += kHex[digest[i] & 15];
  }
  return text;
}

}  // namespace imgrec::aws
