#include "lib/base/file.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "lib/base/ids.hpp"
#include "lib/base/rng.hpp"

namespace imgrec {
namespace {

constexpr std::string_view kTemporaryPrefix = ".tmp-";

std::unexpected<Error> io_error(const char* verb, const std::string& shown, int error) {
  const std::string text = std::string("Cannot ") + verb + " " + shown + ": " + std::strerror(error) + ".";
  const bool reading = verb[0] == 'r';
  switch (error) {
    case ENOENT:
    case ENOTDIR: return fail(ErrorKind::not_found, reading ? "file_unreadable" : "file_unwritable", text);
    case EACCES:
    case EPERM:
    case EROFS: return fail(ErrorKind::denied, reading ? "file_unreadable" : "file_unwritable", text);
    case ENOSPC:
    case EDQUOT: return fail(ErrorKind::transient, "disk_full", text + " Free some space.");
    default: return fail(ErrorKind::transient, reading ? "file_unreadable" : "file_unwritable", text);
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

// Gives the temporary file its name. 0, or errno; EEXIST when mode is only_if_absent and the name is taken.
int rename_to(int scratch_folder, const char* temporary, int folder, const char* name, WriteMode mode) {
  if (mode == WriteMode::replace) return ::renameat(scratch_folder, temporary, folder, name) == 0 ? 0 : errno;
  if (::renameat2(scratch_folder, temporary, folder, name, RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return errno;
  // A file system without RENAME_NOREPLACE: a link fails just so when the name is taken.
  if (::linkat(scratch_folder, temporary, folder, name, 0) != 0) return errno;
  ::unlinkat(scratch_folder, temporary, 0);
  return 0;
}

// The kernel's own time of change may be the same for all that happens within several milliseconds.
void set_exact_time(int fd) {
  timespec times[2] = {{0, UTIME_OMIT}, {}};
  if (::clock_gettime(CLOCK_REALTIME, &times[1]) == 0) ::futimens(fd, times);
}

// False when stopped.
bool wait_until_readable(int fd, std::stop_token stop) {
  const Fd stopped(::eventfd(0, EFD_CLOEXEC));
  const std::stop_callback wake(stop, [&stopped] { ::eventfd_write(stopped.get(), 1); });
  std::array<pollfd, 2> waiting = {pollfd{fd, POLLIN, 0}, pollfd{stopped.get(), POLLIN, 0}};
  while (::poll(waiting.data(), waiting.size(), -1) < 0 && errno == EINTR) {
  }
  return !stop.stop_requested();
}

}  // namespace

void Fd::reset() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

Result<std::string> read_open_file(int fd, const std::string& shown, std::uint64_t bytes_max, std::stop_token stop) {
  struct stat info{};
  if (::fstat(fd, &info) != 0) return io_error("read", shown, errno);
  if (S_ISDIR(info.st_mode)) return io_error("read", shown, EISDIR);
  const auto too_large = [&] {
    return fail(ErrorKind::invalid, "file_too_large",
                shown + " has more than " + std::to_string(bytes_max) + " bytes.");
  };
  if (S_ISREG(info.st_mode) && static_cast<std::uint64_t>(info.st_size) > bytes_max) return too_large();
  std::string bytes;
  // One byte more than the size says, so that the end of the file is seen without growing the buffer.
  std::size_t capacity = static_cast<std::size_t>(info.st_size) + 1, used = 0;
  const bool may_wait = !S_ISREG(info.st_mode) && stop.stop_possible();
  while (true) {
    ssize_t got = 0;
    int error = 0;
    if (may_wait && !wait_until_readable(fd, stop)) {
      return fail(ErrorKind::cancelled, "interrupted", "Interrupted while reading " + shown + ".");
    }
    // Not resize(), which would fill with zeros first what is read over at once.
    bytes.resize_and_overwrite(capacity, [&](char* buffer, std::size_t) {
      do got = ::read(fd, buffer + used, capacity - used);
      while (got < 0 && errno == EINTR);
      error = got < 0 ? errno : 0;
      return used + static_cast<std::size_t>(std::max<ssize_t>(got, 0));
    });
    if (got < 0 && error == EAGAIN && may_wait) continue;  // another reader was quicker
    if (got < 0) return io_error("read", shown, error);
    if (got == 0) return bytes;
    used += static_cast<std::size_t>(got);
    if (used > bytes_max) return too_large();
    if (used == capacity) capacity = 2 * capacity + 4096;
  }
}

Result<std::string> read_file(const std::filesystem::path& path, std::uint64_t bytes_max, std::stop_token stop) {
  // Opening a FIFO would wait for a writer, and nothing could end that.
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | (stop.stop_possible() ? O_NONBLOCK : 0)));
  if (!fd.ok()) return io_error("read", path.string(), errno);
  return read_open_file(fd.get(), path.string(), bytes_max, stop);
}

int FolderSync::sync(int folder) {
  struct stat info{};
  if (::fstat(folder, &info) != 0) return errno;
  const std::pair<std::uint64_t, std::uint64_t> key(info.st_dev, info.st_ino);
  std::unique_lock lock(mutex_);
  Round& round = rounds_[key];
  ++round.users;
  const std::uint64_t wanted = ++round.asked;
  int error = 0;
  while (round.synced < wanted && error == 0) {
    if (round.syncing) {
      round.changed.wait(lock);
      continue;
    }
    round.syncing = true;
    const std::uint64_t covered = round.asked;
    lock.unlock();
    error = ::fsync(folder) == 0 ? 0 : errno;
    lock.lock();
    round.syncing = false;
    if (error == 0) round.synced = covered;
    round.changed.notify_all();
  }
  if (--round.users == 0) rounds_.erase(key);
  return error;
}

Result<StagedFile> StagedFile::write(int scratch_folder, std::string shown, ByteView bytes, unsigned permissions) {
  std::string temporary = std::string(kTemporaryPrefix) + random_hex(system_rng(), 12);
  Fd fd(::openat(scratch_folder, temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, permissions));
  if (!fd.ok()) return io_error("write", shown, errno);
  StagedFile staged(scratch_folder, std::move(shown), std::move(temporary), std::move(fd));
  // Where locks do not work nothing is cleaned up either.
  while (::flock(staged.fd_.get(), LOCK_EX) != 0 && errno == EINTR) {
  }
  if (const int error = write_all(staged.fd_.get(), bytes); error != 0) return io_error("write", staged.shown_, error);
  set_exact_time(staged.fd_.get());
  if (::fdatasync(staged.fd_.get()) != 0) return io_error("write", staged.shown_, errno);
  return staged;
}

StagedFile::~StagedFile() {
  if (fd_.ok()) ::unlinkat(scratch_folder_, temporary_.c_str(), 0);
}

Result<bool> StagedFile::publish(int folder, const std::string& name, WriteMode mode) {
  const int error = rename_to(scratch_folder_, temporary_.c_str(), folder, name.c_str(), mode);
  if (error == EEXIST && mode == WriteMode::only_if_absent) return false;
  if (error != 0) return io_error("write", shown_, error);
  fd_.reset();
  return true;
}

Result<bool> write_file_atomic_at(const AtomicWrite& target, ByteView bytes, WriteMode mode) {
  struct stat info{};
  bool written = false;
  const bool taken = mode == WriteMode::only_if_absent &&
                     ::fstatat(target.folder, target.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0;
  if (!taken) {
    auto staged = StagedFile::write(target.scratch_folder, target.shown, bytes, target.permissions);
    if (!staged) return fail(staged.error());
    const auto published = staged->publish(target.folder, target.name, mode);
    if (!published) return published;
    written = *published;
  }
  // Also when it was there: whoever wrote it may not have come to this line, and our caller relies on the file.
  if (const int unsynced = target.folder_sync.sync(target.folder); unsynced != 0) {
    return io_error("write", target.shown, unsynced);
  }
  return written;
}

Result<bool> write_file_atomic(const std::filesystem::path& path, ByteView bytes, WriteMode mode,
                               unsigned permissions) {
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : ".";
  const Fd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.ok()) return io_error("write", path.string(), errno);
  FolderSync alone;
  return write_file_atomic_at({fd.get(), fd.get(), path.filename().string(), path.string(), alone, permissions}, bytes,
                              mode);
}

void remove_stale_temporaries(int scratch_folder) {
  const int copy = ::openat(scratch_folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (copy < 0) return;
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::fdopendir(copy), ::closedir);
  if (!folder) {
    ::close(copy);
    return;
  }
  while (const dirent* entry = ::readdir(folder.get())) {
    if (!std::string_view(entry->d_name).starts_with(kTemporaryPrefix)) continue;
    const Fd fd(::openat(scratch_folder, entry->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (fd.ok() && ::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) ::unlinkat(scratch_folder, entry->d_name, 0);
  }
}

}  // namespace imgrec
