#include "lib/base/digest.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <new>
#include <vector>

namespace imgrec {
namespace {

// Fetched once: looking an algorithm up costs more than hashing a kilobyte. It lives as long as the process.
const EVP_MD* algorithm() {
  static const EVP_MD* const fetched = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  return fetched != nullptr ? fetched : EVP_sha256();
}

}  // namespace

struct Sha256::Impl {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  Impl() {
    if (context == nullptr || EVP_DigestInit_ex(context, algorithm(), nullptr) != 1) throw std::bad_alloc();
  }
  ~Impl() { EVP_MD_CTX_free(context); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
};

Sha256::Sha256() : impl_(std::make_unique<Impl>()) {}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(ByteView bytes) {
  EVP_DigestUpdate(impl_->context, bytes.data(), bytes.size());
}

Sha256Digest Sha256::finish() {
  Sha256Digest digest;
  EVP_DigestFinal_ex(impl_->context, digest.data(), nullptr);
  // The same algorithm once more: ready for other bytes, without a new state.
  EVP_DigestInit_ex(impl_->context, nullptr, nullptr);
  return digest;
}

std::string Sha256::finish_hex() {
  return hex_of(view(finish()));
}

std::string hex_of(ByteView bytes) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string text(2 * bytes.size(), '\0');
  std::size_t at = 0;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    text[at++] = kHex[byte >> 4];
    text[at++] = kHex[byte & 15];
  }
  return text;
}

Sha256Digest sha256(std::initializer_list<ByteView> pieces) {
  thread_local Sha256 digest;
  for (const ByteView piece : pieces) digest.update(piece);
  return digest.finish();
}

std::string md5_hex(ByteView bytes) {
  static const EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "MD5", nullptr);
  std::array<unsigned char, 16> digest;
  if (algorithm == nullptr || EVP_Digest(bytes.data(), bytes.size(), digest.data(), nullptr, algorithm, nullptr) != 1) {
    return {};
  }
  return hex_of({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

std::string sha256_hex(ByteView bytes) {
  return hex_of(view(sha256({bytes})));
}

bool equal_in_constant_time(ByteView a, ByteView b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

Result<std::string> sha256_hex_of_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) {
    const ErrorKind kind = errno == ENOENT   ? ErrorKind::not_found
                           : errno == EACCES ? ErrorKind::denied
                                             : ErrorKind::transient;
    return fail(kind, "file_unreadable", "Cannot read " + path.string() + ": " + std::strerror(errno) + ".");
  }
  Sha256 digest;
  std::vector<char> buffer(256 * kKiB);
  while (in.read(buffer.data(), static_cast<std::streamsize>(buffer.size())), in.gcount() > 0) {
    digest.update({buffer.data(), static_cast<std::size_t>(in.gcount())});
  }
  if (in.bad()) return fail(ErrorKind::transient, "file_unreadable", "Reading " + path.string() + " failed half way.");
  return digest.finish_hex();
}

}  // namespace imgrec
