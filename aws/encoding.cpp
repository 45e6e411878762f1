#include "aws/encoding.hpp"

#include <openssl/evp.h>

#include <array>
#include <charconv>
#include <memory>

#include "lib/base/digest.hpp"

namespace imgrec::aws {
namespace {

struct ContextDeleter {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_MD_CTX, ContextDeleter>;

// Ready for a first message; null where there is no MD5. The algorithm is looked up once, which costs more than hashing
// a message, and lives as long as the process.
Context md5_context() {
  static const EVP_MD* const md5 = EVP_MD_fetch(nullptr, "MD5", nullptr);
  Context context(md5 != nullptr ? EVP_MD_CTX_new() : nullptr);
  if (context && EVP_DigestInit_ex(context.get(), md5, nullptr) != 1) context.reset();
  return context;
}

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
  thread_local const Context context = md5_context();
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  const bool hashed = context && EVP_DigestUpdate(context.get(), bytes.data(), bytes.size()) == 1 &&
                      EVP_DigestFinal_ex(context.get(), digest.data(), &size) == 1 &&
                      EVP_DigestInit_ex(context.get(), nullptr, nullptr) == 1;  // for the next message
  return hashed ? hex_of({reinterpret_cast<const char*>(digest.data()), size}) : "";
}

}  // namespace imgrec::aws
