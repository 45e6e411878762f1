// One process at a time.
#pragma once

#include <filesystem>

#include "lib/base/result.hpp"

namespace imgrec {

/// Held until destroyed, or until the process is gone however it ended (flock). Children do not inherit it.
class FileLock {
 public:
  /// Errors: invalid "already_running" with the text given; denied or transient "lock_unavailable".
  static Result<FileLock> take(const std::filesystem::path& file, const std::string& when_taken);
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;
  ~FileLock();

 private:
  explicit FileLock(int fd) : fd_(fd) {}
  int fd_ = -1;
};

}  // namespace imgrec
