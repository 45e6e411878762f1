#include "lib/base/mapped_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "lib/base/file.hpp"

namespace imgrec {
namespace {

std::unexpected<Error> unreadable(const std::string& shown, int error) {
  const ErrorKind kind = error == ENOENT || error == ENOTDIR ? ErrorKind::not_found
                         : error == EACCES || error == EPERM ? ErrorKind::denied
                                                             : ErrorKind::transient;
  return fail(kind, "file_unreadable", "Cannot read " + shown + ": " + std::strerror(error) + ".");
}

}  // namespace

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

Result<MappedFile> MappedFile::open(const std::filesystem::path& path, std::uint64_t bytes_max) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.ok()) return unreadable(path.string(), errno);
  return of(fd.get(), path.string(), bytes_max);
}

Result<MappedFile> MappedFile::of(int fd, const std::string& shown, std::uint64_t bytes_max) {
  struct stat info{};
  if (::fstat(fd, &info) != 0) return unreadable(shown, errno);
  if (S_ISDIR(info.st_mode)) return unreadable(shown, EISDIR);
  if (!S_ISREG(info.st_mode)) return unreadable(shown, ENODEV);
  if (static_cast<std::uint64_t>(info.st_size) > bytes_max) {
    return fail(ErrorKind::invalid, "file_too_large",
                shown + " has more than " + std::to_string(bytes_max) + " bytes.");
  }
  MappedFile file;
  if (info.st_size == 0) return file;
  const auto size = static_cast<std::size_t>(info.st_size);
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (data == MAP_FAILED) return unreadable(shown, errno);
  file.data_ = data;
  file.size_ = size;
  return file;
}

void MappedFile::drop_pages() const {
  if (data_ != nullptr) ::madvise(data_, size_, MADV_DONTNEED);
}

}  // namespace imgrec
