// A file's bytes in memory without a copy.
#pragma once

#include <cstdint>
#include <filesystem>
#include <utility>

#include "lib/base/result.hpp"
#include "lib/base/units.hpp"

namespace imgrec {

/// Read-only and private. The bytes stay those of the file that was opened also when another one takes its name; a file
/// that is shortened in place meanwhile must not be mapped (the process would get SIGBUS): ours are replaced, never
/// rewritten.
class MappedFile {
 public:
  MappedFile() = default;
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  MappedFile& operator=(MappedFile&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }

  /// Errors: as read_file().
  static Result<MappedFile> open(const std::filesystem::path& path, std::uint64_t bytes_max);
  /// Of an open file; `shown` is what an error calls it. The file may be closed afterwards.
  static Result<MappedFile> of(int fd, const std::string& shown, std::uint64_t bytes_max);

  ByteView bytes() const { return {static_cast<const char*>(data_), size_}; }

  /// Gives the memory back; bytes that are looked at again come from the file again.
  void drop_pages() const;

 private:
  void* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace imgrec
