// The server's certificate, with which it speaks TLS (1.2 and up).
#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <string>

#include "lib/base/result.hpp"

struct ssl_ctx_st;

namespace imgrec {

/// Read from two PEM files, and again when they have changed: connections that are open keep the certificate that they
/// began with, new ones get the new one. Thread-safe.
class TlsCertificate {
 public:
  /// certificate: with the chain to a root that clients know, its own first. key: without a password. Errors: as of
  /// read_file; invalid "bad_certificate", which says which file is wrong and why.
  static Result<std::shared_ptr<TlsCertificate>> load(std::filesystem::path certificate, std::filesystem::path key);

  /// Reads the files, and takes them when they have changed; returns whether. On an error the old certificate stays
  /// (two files cannot be replaced in one moment); files that have not changed since are no error again.
  Result<bool> reload();

  /// What new connections use. For the server.
  std::shared_ptr<ssl_ctx_st> context() const;

 private:
  TlsCertificate(std::filesystem::path certificate, std::filesystem::path key)
      : certificate_(std::move(certificate)), key_(std::move(key)) {}

  const std::filesystem::path certificate_, key_;
  std::mutex reading_;
  std::string seen_;  // a digest of the files as they were last read
  mutable std::mutex mutex_;
  std::shared_ptr<ssl_ctx_st> context_;
};

}  // namespace imgrec
