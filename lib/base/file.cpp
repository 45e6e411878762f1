#include "lib/base/file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "lib/base/rng.hpp"
#include "lib/base/ids.hpp"

namespace imgrec {
namespace {

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  int get() const { return fd_; }
  bool ok() const { return fd_ >= 0; }

 private:
  int fd_;
};

std::unexpected<Error> io_error(const char* verb, const std::filesystem::path& path, int error) {
  const std::string text = std::string("Cannot ") + verb + " " + path.string() + ": " + std::strerror(error) + ".";
  const bool reading = verb[0] == 'r';
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return fail(ErrorKind::not_found, reading ? "file_unreadable" : "file_unwritable", text);
    case EACCES:
    case EPERM:
    case EROFS:
      return fail(ErrorKind::denied, reading ? "file_unreadable" : "file_unwritable", text);
    case ENOSPC:
    case EDQUOT:
      return fail(ErrorKind::transient, "disk_full", text + " Free some space.");
    default:
      return fail(ErrorKind::transient, reading ? "file_unreadable" : "file_unwritable", text);
  }
}

int write_all(int fd, ByteView bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return errno;
    }
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return 0;
}

}  // namespace

Result<std::string> read_file(const std::filesystem::path& path, std::uint64_t bytes_max) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.ok()) return io_error("read", path, errno);
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return io_error("read", path, errno);
  if (S_ISDIR(info.st_mode)) return io_error("read", path, EISDIR);
  const auto too_large = [&] {
    return fail(ErrorKind::invalid, "file_too_large",
                path.string() + " has more than " + std::to_string(bytes_max) + " bytes.");
  };
  if (S_ISREG(info.st_mode) && static_cast<std::uint64_t>(info.st_size) > bytes_max) return too_large();
  std::string bytes;
  // One byte more than the size says, so that the end of the file is seen without growing the buffer.
  std::size_t capacity = static_cast<std::size_t>(info.st_size) + 1, used = 0;
  while (true) {
    bytes.resize(capacity);
    const ssize_t got = ::read(fd.get(), bytes.data() + used, capacity - used);
    if (got < 0) {
      if (errno == EINTR) continue;
      return io_error("read", path, errno);
    }
    if (got == 0) break;
    used += static_cast<std::size_t>(got);
    if (used > bytes_max) return too_large();
    if (used == capacity) capacity = 2 * capacity + 4096;
  }
  bytes.resize(used);
  return bytes;
}

Result<bool> write_file_atomic(const std::filesystem::path& path, ByteView bytes, WriteMode mode) {
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : ".";
  const std::filesystem::path temporary = folder / (".tmp-" + random_hex(system_rng(), 12));
  {
    const Fd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    if (!fd.ok()) return io_error("write", temporary, errno);
    int error = write_all(fd.get(), bytes);
    if (error == 0 && ::fsync(fd.get()) != 0) error = errno;
    if (error != 0) {
      ::unlink(temporary.c_str());
      return io_error("write", path, error);
    }
  }
  bool written = true;
  int error = 0;
  if (mode == WriteMode::replace) {
    if (::rename(temporary.c_str(), path.c_str()) != 0) error = errno;
  } else {
    if (::link(temporary.c_str(), path.c_str()) != 0) {
      written = false;
      if (errno != EEXIST) error = errno;
    }
    ::unlink(temporary.c_str());
  }
  if (error != 0) {
    ::unlink(temporary.c_str());
    return io_error("write", path, error);
  }
  const Fd folder_fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder_fd.ok() || ::fsync(folder_fd.get()) != 0) return io_error("write", folder, errno);
  return written;
}

}  // namespace imgrec
