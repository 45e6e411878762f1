// SHA-256 (OpenSSL).
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "lib/base/result.hpp"
#include "lib/base/units.hpp"

namespace imgrec {

/// 64 lower-case hex digits.
std::string sha256_hex(ByteView bytes);

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
  /// Once, at the end.
  std::string finish_hex();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace imgrec
