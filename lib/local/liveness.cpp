#include "lib/local/liveness.hpp"

#include <fcntl.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <string_view>

#include "lib/base/digest.hpp"

namespace imgrec {
namespace {

// One byte of the file for each name: 60 bits of its digest. Locks may lie beyond the end of a file.
struct flock lock_of(const std::string& name) {
  const std::string digest = sha256_hex(name);
  off_t at = 0;
  std::from_chars(digest.data(), digest.data() + 15, at, 16);
  struct flock lock{};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = at;
  lock.l_len = 1;
  return lock;
}

}  // namespace

Result<Liveness> Liveness::enter(const std::filesystem::path& file, const std::string& name) {
  const auto failed = [&](int error) {
    return fail(error == EACCES || error == EROFS ? ErrorKind::denied : ErrorKind::transient, "liveness_unavailable",
                "Cannot lock " + file.string() + ": " + std::strerror(error) + ".");
  };
  Fd fd(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd.ok()) return failed(errno);
  struct flock lock = lock_of(name);
  if (::fcntl(fd.get(), F_OFD_SETLK, &lock) != 0) return failed(errno);
  return Liveness(std::move(fd));
}

bool Liveness::is_gone(const std::string& name) const {
  struct flock lock = lock_of(name);
  return ::fcntl(file_.get(), F_OFD_GETLK, &lock) == 0 && lock.l_type == F_UNLCK;
}

}  // namespace imgrec
