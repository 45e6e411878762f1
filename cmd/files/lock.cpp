#include "cmd/files/lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace imgrec {

Result<FileLock> FileLock::take(const std::filesystem::path& file, const std::string& when_taken) {
  const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) {
    const int error = errno;
    return fail(error == EACCES || error == EROFS ? ErrorKind::denied : ErrorKind::transient, "lock_unavailable",
                "Cannot open " + file.string() + ": " + std::strerror(error) + ".");
  }
  FileLock lock(fd);
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return lock;
  const int error = errno;
  if (error == EWOULDBLOCK) return fail(ErrorKind::invalid, "already_running", when_taken);
  return fail(ErrorKind::transient, "lock_unavailable",
              "Cannot lock " + file.string() + ": " + std::strerror(error) + ".");
}

FileLock::FileLock(FileLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

FileLock& FileLock::operator=(FileLock&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

FileLock::~FileLock() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace imgrec
