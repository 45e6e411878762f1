// SHA-256, and MD5 where a protocol wants it (both OpenSSL's).
#pragma once

#include <array>
#include <filesystem>
#include <initializer_list>
#include <memory>
#include <string>

#include "lib/base/result.hpp"
#include "lib/base/units.hpp"

namespace imgrec {

using Sha256Digest = std::array<unsigned char, 32>;

inline ByteView view(const Sha256Digest& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

/// Of the pieces, one after the other.
Sha256Digest sha256(std::initializer_list<ByteView> pieces);

/// 64 lower-case hex digits.
std::string sha256_hex(ByteView bytes);

/// 32 lower-case hex digits: against damage on the way, no protection against anybody. Empty where OpenSSL has no MD5
/// (in its FIPS mode).
std::string md5_hex(ByteView bytes);

/// Two lower-case digits for each byte.
std::string hex_of(ByteView bytes);

/// For secrets: takes the same time however much is equal. False when the lengths differ, which is no secret.
bool equal_in_constant_time(ByteView a, ByteView b);

/// Reads the whole file. Errors: not_found, denied or transient, "file_unreadable".
Result<std::string> sha256_hex_of_file(const std::filesystem::path& path);

/// For bytes that arrive in pieces.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  void update(ByteView bytes);
  /// Of what came since the last time.
  Sha256Digest finish();
  std::string finish_hex();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace imgrec
