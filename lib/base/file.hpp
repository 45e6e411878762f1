// Files read whole and written atomically.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <stop_token>
#include <string>
#include <utility>

#include "lib/base/result.hpp"
#include "lib/base/units.hpp"

namespace imgrec {

/// Owns a file descriptor.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() { reset(); }
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  int get() const { return fd_; }
  bool ok() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset();

 private:
  int fd_ = -1;
};

/// Of a pipe or a terminal, where nobody may ever write, waits no longer than until a stop is requested.
/// Errors: not_found, denied, transient "file_unreadable"; invalid "file_too_large" when it has more than bytes_max;
/// cancelled.
Result<std::string> read_file(const std::filesystem::path& path, std::uint64_t bytes_max, std::stop_token stop = {});

enum class WriteMode { replace, only_if_absent };

/// Writes to a temporary name beside the target, syncs file and folder, and renames: readers see the whole file or
/// none, also after a power cut. Returns false when only_if_absent found one there. `permissions` are those of a new
/// file, less what the umask takes away. Errors: not_found (no such folder), denied, transient "disk_full", transient
/// "file_unwritable".
Result<bool> write_file_atomic(const std::filesystem::path& path, ByteView bytes, WriteMode mode,
                               unsigned permissions = 0644);

/// Folders that many threads sync: those that ask while a sync is under way share the next one (group commit).
/// Thread-safe.
class FolderSync {
 public:
  /// All changes made to the open folder before the call are on the disk: 0, or errno.
  int sync(int folder);

 private:
  struct Round {
    int users = 0;
    std::uint64_t asked = 0, synced = 0;
    bool syncing = false;
    std::condition_variable changed;
  };
  std::mutex mutex_;
  std::map<std::pair<std::uint64_t, std::uint64_t>, Round> rounds_;  // by device and inode; only those in use
};

/// The same for folders that are open already (nothing on the way to them is looked up again).
struct AtomicWrite {
  int scratch_folder;  // where the bytes are written first; on the same file system as the folder
  int folder;
  std::string name;   // one part, no "/"
  std::string shown;  // what an error calls it
  FolderSync& folder_sync;
  unsigned permissions = 0644;
};
/// Errors as write_file_atomic; not_found also when the folder was removed meanwhile.
Result<bool> write_file_atomic_at(const AtomicWrite& target, ByteView bytes, WriteMode mode);

/// Bytes that are on the disk under a temporary name and get their own by one rename, so that what has to be decided
/// under a lock is decided without waiting for the disk. Destroying it removes what was not published.
class StagedFile {
 public:
  /// Writes and syncs in scratch_folder, which stays open as long as this lives; `shown` is what an error calls the
  /// file. The time of change has nanoseconds, where the file system keeps them. Errors as write_file_atomic;
  /// not_found: the scratch folder was removed.
  static Result<StagedFile> write(int scratch_folder, std::string shown, ByteView bytes, unsigned permissions = 0644);
  StagedFile(StagedFile&&) = default;
  StagedFile& operator=(StagedFile&&) = delete;
  ~StagedFile();

  /// Gives the file its name (one part) in a folder of the same file system; returns false when only_if_absent found
  /// one there. It survives a power cut when the folder is synced afterwards. Errors as write_file_atomic; not_found:
  /// the folder was removed.
  Result<bool> publish(int folder, const std::string& name, WriteMode mode);

 private:
  StagedFile(int scratch_folder, std::string shown, std::string temporary, Fd fd)
      : scratch_folder_(scratch_folder),
        shown_(std::move(shown)),
        temporary_(std::move(temporary)),
        fd_(std::move(fd)) {}

  int scratch_folder_;
  std::string shown_;
  std::string temporary_;
  Fd fd_;  // locked, which tells remove_stale_temporaries that the writer lives; not ok: nothing to remove
};

/// Removes what interrupted writes left in a scratch folder. Writes in progress (of any process) hold a lock and stay.
void remove_stale_temporaries(int scratch_folder);

/// Reads an open regular file; `shown` is what an error calls it. Errors as read_file.
Result<std::string> read_open_file(int fd, const std::string& shown, std::uint64_t bytes_max,
                                   std::stop_token stop = {});

}  // namespace imgrec
