#include "lib/local/dir_store.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>

#include "lib/base/clock.hpp"
#include "lib/base/file.hpp"
#include "lib/base/log.hpp"
#include "lib/base/text.hpp"
#include "lib/local/object_name.hpp"

namespace imgrec {
namespace {

constexpr int kListMax = 1000;
constexpr std::size_t kRemoveMax = 1000;
constexpr int kPutAttempts = 100;  // each loses a race against a remove() that took an empty folder away
constexpr Millis kObjectLockWait{10'000};
constexpr int kLockNapMs = 1;
constexpr const char* kScratchFolder = ".tmp";

std::unexpected<Error> store_error(const char* verb, std::string_view what, int error) {
  const std::string text = std::string("Cannot ") + verb + " " + json_quote(what) + ": " + std::strerror(error) + ".";
  switch (error) {
    case ENOENT: return fail(ErrorKind::not_found, "no_such_object", "There is no object " + json_quote(what) + ".");
    case EACCES:
    case EPERM:
    case EROFS: return fail(ErrorKind::denied, "store_denied", text);
    case ELOOP:
    case ENOTDIR:
      return fail(ErrorKind::denied, "store_denied",
                  text + " Something that is not the store's, such as a symbolic link, lies in its folder.");
    case ENOSPC:
    case EDQUOT: return fail(ErrorKind::transient, "disk_full", text + " Free some space.");
    default: return fail(ErrorKind::transient, "store_unavailable", text);
  }
}

WallTime modified_at(const struct stat& info) {
  return WallTime(Millis(static_cast<std::int64_t>(info.st_mtim.tv_sec) * 1000 + info.st_mtim.tv_nsec / 1'000'000));
}

// Changes with every put: files are written anew and never changed, and set_exact_time() in lib/base/file.cpp sees to
// it that an inode that is used again has another time.
std::string version_of(const struct stat& info) {
  char text[64];
  char* end = std::to_chars(text, text + 20, static_cast<std::uint64_t>(info.st_ino), 16).ptr;
  for (const std::int64_t number :
       {static_cast<std::int64_t>(info.st_mtim.tv_sec), static_cast<std::int64_t>(info.st_mtim.tv_nsec)}) {
    *end++ = '-';
    end = std::to_chars(end, text + sizeof text, number, 16).ptr;
  }
  return {text, end};
}

ObjectInfo info_of(ObjectKey key, const struct stat& info) {
  return {std::move(key), static_cast<std::uint64_t>(info.st_size), modified_at(info), version_of(info)};
}

Fd open_folder_in(int parent, const std::string& name) {
  return Fd(::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

// Opens what lies below the root, following no link, so that nothing in the store leads out of it. An Fd that is not
// ok: errno says why.
Fd open_below(int root, const std::vector<std::string>& folders, const std::string& last, int flags) {
  static std::atomic<bool> has_openat2 = true;  // Linux 5.6; some sandboxes refuse it
  flags |= O_CLOEXEC;
  if (has_openat2) {
    std::string path;
    for (const std::string& name : folders) path.append(name) += '/';
    path += last;
    open_how how{};
    how.flags = static_cast<std::uint64_t>(flags);
    how.resolve = RESOLVE_NO_SYMLINKS;
    const long fd = ::syscall(SYS_openat2, root, path.c_str(), &how, sizeof how);
    if (fd >= 0) return Fd(static_cast<int>(fd));
    if (errno != ENOSYS && errno != EPERM && errno != ENAMETOOLONG) return {};
    if (errno == ENOSYS) has_openat2 = false;
  }
  Fd at(::fcntl(root, F_DUPFD_CLOEXEC, 0));
  for (const std::string& name : folders) {
    if (!at.ok()) return at;
    at = open_folder_in(at.get(), name);
  }
  return at.ok() ? Fd(::openat(at.get(), last.c_str(), flags | O_NOFOLLOW)) : Fd();
}

// The folder that the names lead to. With `make` those that are not there are made, durably.
Fd open_folders(int root, const std::vector<std::string>& folders, bool make) {
  Fd found = folders.empty()
                 ? Fd(::fcntl(root, F_DUPFD_CLOEXEC, 0))
                 : open_below(root, {folders.begin(), folders.end() - 1}, folders.back(), O_RDONLY | O_DIRECTORY);
  if (found.ok() || errno != ENOENT || !make) return found;
  Fd at(::fcntl(root, F_DUPFD_CLOEXEC, 0));
  for (const std::string& name : folders) {
    if (!at.ok()) return at;
    if (::mkdirat(at.get(), name.c_str(), 0755) == 0) {
      if (::fsync(at.get()) != 0) return {};
    } else if (errno != EEXIST) {
      return {};
    }
    at = open_folder_in(at.get(), name);
  }
  return at;
}

// One page of a listing, gathered in byte order.
class Lister {
 public:
  Lister(std::string_view prefix, std::string_view after, std::size_t objects_max)
      : prefix_(prefix), after_(after), objects_max_(objects_max) {}

  // The folder, whose objects' keys begin with `begin`. 0 or errno.
  int walk(Fd folder, const std::string& begin) {
    std::vector<Entry> entries;
    if (const int error = read_entries(folder.get(), begin, entries); error != 0) return error;
    // A heap instead of a sort: of 100,000 entries one page is wanted, not all.
    const auto later = [](const Entry& a, const Entry& b) { return a.key > b.key; };
    std::ranges::make_heap(entries, later);
    while (!entries.empty() && !done()) {
      std::ranges::pop_heap(entries, later);
      const Entry entry = std::move(entries.back());
      entries.pop_back();
      if (entry.is_folder) {
        Fd inner = open_folder_in(folder.get(), entry.name);
        if (!inner.ok() && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)) continue;
        if (!inner.ok()) return errno;
        if (const int error = walk(std::move(inner), entry.key); error != 0) return error;
      } else {
        add(folder.get(), entry.name, entry.key);
      }
    }
    return 0;
  }

  ListPage page() && {
    ListPage page{std::move(objects_), {}};
    if (more_) page.next = page.objects.back().key.str();
    return page;
  }

 private:
  struct Entry {
    std::string key;  // of a folder: what the keys of all its objects begin with
    std::string name;
    bool is_folder;
  };

  bool done() const { return more_; }

  bool wanted(const Entry& entry) const {
    if (!entry.is_folder) return entry.key.starts_with(prefix_) && entry.key > after_;
    const bool may_match = entry.key.starts_with(prefix_) || prefix_.starts_with(entry.key);
    return may_match && (entry.key > after_ || after_.starts_with(entry.key));
  }

  int read_entries(int folder, const std::string& begin, std::vector<Entry>& entries) const {
    const int copy = ::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (copy < 0) return errno;
    const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(copy), ::closedir);
    if (!stream) {
      const int error = errno;
      ::close(copy);
      return error;
    }
    while (true) {
      errno = 0;
      const dirent* found = ::readdir(stream.get());
      if (found == nullptr) return errno;
      auto part = parse_object_name(found->d_name);
      if (!part) continue;  // ".", "..", the scratch folder, strangers
      Entry entry{begin + part->text, found->d_name, part->is_folder};
      if (wanted(entry)) entries.push_back(std::move(entry));
    }
  }

  void add(int folder, const std::string& name, const std::string& key) {
    struct stat info{};
    if (::fstatat(folder, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(info.st_mode)) return;
    if (objects_.size() == objects_max_) {
      more_ = true;
      return;
    }
    objects_.push_back(info_of(ObjectKey(key), info));
  }

  const std::string prefix_, after_;
  const std::size_t objects_max_;
  std::vector<ObjectInfo> objects_;
  bool more_ = false;
};

// The store's folder and the one for files that are being written, both open: nothing on the way to them is looked up
// again.
struct Folders {
  Fd root, scratch;

  // True after somebody removed one of them.
  bool removed() const {
    struct stat info{};
    for (const Fd* folder : {&root, &scratch}) {
      if (::fstat(folder->get(), &info) == 0 && info.st_nlink == 0) return true;
    }
    return false;
  }
};

// Opens the folders, making what is not there.
Result<std::shared_ptr<const Folders>> open_store_folders(const std::filesystem::path& folder) {
  std::error_code made;
  std::filesystem::create_directories(folder, made);
  Fd root(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root.ok()) {
    const int error = errno == ENOENT && made ? made.value() : errno;
    if (error != ENOENT) return store_error("open the store", folder.string(), error);
    return fail(ErrorKind::transient, "store_unavailable", "The folder " + folder.string() + " was just removed.");
  }
  if (::mkdirat(root.get(), kScratchFolder, 0755) != 0 && errno != EEXIST) {
    return store_error("write to the store", folder.string(), errno);
  }
  Fd scratch = open_folder_in(root.get(), kScratchFolder);
  if (!scratch.ok()) return store_error("write to the store", folder.string(), errno);
  remove_stale_temporaries(scratch.get());
  return std::make_shared<const Folders>(std::move(root), std::move(scratch));
}

class DirStore final : public ObjectStore {
 public:
  DirStore(std::filesystem::path path, std::shared_ptr<const Folders> folders)
      : path_(std::move(path)), folders_(std::move(folders)) {}

  Result<PutOutcome> put(const ObjectKey& key, ByteView bytes, const PutOptions& options,
                         const CallLimits& limits) override {
    const auto path = object_path(key.str());
    if (!path) return fail(path.error());
    for (int attempt = 1;; ++attempt) {
      if (auto within = limits.check(system_clock()); !within) return fail(within.error());
      const auto folders = open();
      if (!folders) return fail(folders.error());
      auto done = put_once(**folders, key, *path, bytes, options, limits);
      if (done || done.error().kind != ErrorKind::not_found) return done;
      if (attempt == kPutAttempts) return fail(ErrorKind::transient, "store_unavailable", done.error().message);
    }
  }

  Result<StoredObject> get(const ObjectKey& key, std::uint64_t bytes_max, const CallLimits& limits) override {
    struct stat info{};
    const auto file = open_object(key, info, limits);
    if (!file) return fail(file.error());
    auto bytes = read_open_file(file->get(), json_quote(key.str()), bytes_max);
    if (bytes) return StoredObject{*std::move(bytes), version_of(info)};
    if (bytes.error().kind == ErrorKind::invalid)
      return fail(ErrorKind::invalid, "object_too_large", bytes.error().message);
    return fail(ErrorKind::transient, "store_unavailable", bytes.error().message);
  }

  Result<ObjectInfo> head(const ObjectKey& key, const CallLimits& limits) override {
    struct stat info{};
    const auto file = open_object(key, info, limits);
    if (!file) return fail(file.error());
    return info_of(key, info);
  }

  Result<ListPage> list(std::string_view prefix, std::string_view after, int objects_max,
                        const CallLimits& limits) override {
    if (objects_max < 1 || objects_max > kListMax) {
      return fail(ErrorKind::invalid, "bad_page_size", "A page of a listing has 1 to 1000 objects.");
    }
    if (auto within = limits.check(system_clock()); !within) return fail(within.error());
    const auto folders = open();
    if (!folders) return fail(folders.error());
    Lister lister(prefix, after, static_cast<std::size_t>(objects_max));
    if (const int error = lister.walk(open_folders((*folders)->root.get(), {}, false), ""); error != 0) {
      return store_error("list", prefix, error);
    }
    return std::move(lister).page();
  }

  Result<void> remove(std::span<const ObjectKey> keys, const CallLimits& limits) override {
    if (keys.size() > kRemoveMax) {
      return fail(ErrorKind::invalid, "too_many_keys", "At most 1000 objects are removed at a time.");
    }
    const auto folders = open();
    if (!folders) return fail(folders.error());
    Result<void> first;
    for (const ObjectKey& key : keys) {
      if (auto within = limits.check(system_clock()); !within) return first ? within : first;
      if (auto removed = remove_one(**folders, key, limits); !removed && first) first = std::move(removed);
    }
    return first;
  }

 private:
  // The folders, made anew when somebody removed them.
  Result<std::shared_ptr<const Folders>> open() {
    std::lock_guard lock(mutex_);
    if (!folders_->removed()) return folders_;
    auto opened = open_store_folders(path_);
    if (!opened) return opened;
    log::warning("the folder of the objects had been removed: it is made anew, empty", {{"folder", path_.string()}});
    folders_ = *std::move(opened);
    return folders_;
  }

  // A swap (if_match) compares and renames alone; all other changes may happen side by side, but not during a swap. The
  // lock holds among processes, too, and is kept for a rename only, never while bytes are written.
  static Result<Fd> lock(const Folders& folders, int mode, const CallLimits& limits) {
    Fd guard(::openat(folders.scratch.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!guard.ok()) return store_error("lock", "the store", errno);
    const CallLimits within = limits.at_most(system_clock(), kObjectLockWait);
    while (::flock(guard.get(), mode | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK && errno != EINTR) return store_error("lock", "the store", errno);
      if (auto checked = within.check(system_clock()); !checked) return fail(checked.error());
      ::poll(nullptr, 0, kLockNapMs);
    }
    return guard;
  }

  // not_found: a folder on the way was removed meanwhile.
  Result<PutOutcome> put_once(const Folders& folders, const ObjectKey& key, const ObjectPath& path, ByteView bytes,
                              const PutOptions& options, const CallLimits& limits) {
    const Fd folder = open_folders(folders.root.get(), path.folders, !options.if_match);
    if (!folder.ok() && errno == ENOENT && options.if_match) return PutOutcome::changed;
    if (!folder.ok()) return store_error("store", key.str(), errno);
    bool published = false;
    if (!options.only_if_absent || !is_there(folder.get(), path.file)) {
      auto staged = StagedFile::write(folders.scratch.get(), json_quote(key.str()), bytes);
      if (!staged) return as_store_error(staged.error());
      const auto locked = lock(folders, options.if_match ? LOCK_EX : LOCK_SH, limits);
      if (!locked) return fail(locked.error());
      if (options.if_match && version_now(folder.get(), path.file) != options.if_match) return PutOutcome::changed;
      const WriteMode mode = options.only_if_absent ? WriteMode::only_if_absent : WriteMode::replace;
      const auto done = staged->publish(folder.get(), path.file, mode);
      if (!done) return as_store_error(done.error());
      published = *done;
    }
    // Also when it was there: whoever wrote it may not have come to this line, and our caller relies on the object.
    if (const int error = sync_.sync(folder.get()); error != 0) return store_error("store", key.str(), error);
    return published ? PutOutcome::stored : PutOutcome::already_there;
  }

  static bool is_there(int folder, const std::string& file) {
    struct stat info{};
    return ::fstatat(folder, file.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0;
  }

  static std::optional<std::string> version_now(int folder, const std::string& file) {
    struct stat info{};
    if (::fstatat(folder, file.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(info.st_mode)) return std::nullopt;
    return version_of(info);
  }

  static std::unexpected<Error> as_store_error(const Error& error) {
    if (error.kind == ErrorKind::denied) return fail(ErrorKind::denied, "store_denied", error.message);
    if (error.kind == ErrorKind::not_found || error.code == "disk_full") return fail(error);
    return fail(ErrorKind::transient, "store_unavailable", error.message);
  }

  Result<Fd> open_object(const ObjectKey& key, struct stat& info, const CallLimits& limits) {
    const auto path = object_path(key.str());
    if (!path) return fail(path.error());
    if (auto within = limits.check(system_clock()); !within) return fail(within.error());
    const auto folders = open();
    if (!folders) return fail(folders.error());
    // Not blocking: a stranger's named pipe must not hang us.
    Fd file = open_below((*folders)->root.get(), path->folders, path->file, O_RDONLY | O_NONBLOCK);
    if (!file.ok() || ::fstat(file.get(), &info) != 0) return store_error("read", key.str(), errno);
    if (!S_ISREG(info.st_mode)) return store_error("read", key.str(), ELOOP);
    return file;
  }

  static Result<void> remove_one(const Folders& folders, const ObjectKey& key, const CallLimits& limits) {
    auto path = object_path(key.str());
    if (!path) return fail(path.error());
    const auto locked = lock(folders, LOCK_SH, limits);
    if (!locked) return fail(locked.error());
    const int root = folders.root.get();
    Fd folder = open_folders(root, path->folders, false);
    if (folder.ok()) {
      if (::unlinkat(folder.get(), path->file.c_str(), 0) != 0 && errno != ENOENT) {
        return store_error("remove", key.str(), errno);
      }
    } else if (errno != ENOENT) {
      return store_error("remove", key.str(), errno);
    }
    // Folders go with their last object, so that a listing does not walk through empty ones; put() makes them again.
    while (!path->folders.empty()) {
      const std::string last = std::move(path->folders.back());
      path->folders.pop_back();
      const Fd parent = open_folders(root, path->folders, false);
      if (!parent.ok()) continue;
      if (::unlinkat(parent.get(), last.c_str(), AT_REMOVEDIR) != 0) break;
    }
    return {};
  }

  const std::filesystem::path path_;
  FolderSync sync_;
  std::mutex mutex_;
  std::shared_ptr<const Folders> folders_;
};

}  // namespace

Result<std::unique_ptr<ObjectStore>> open_dir_store(const std::filesystem::path& folder) {
  // Absolute, since it may have to be made anew after the process has gone to another folder.
  std::error_code error;
  std::filesystem::path absolute = std::filesystem::absolute(folder, error);
  if (error) return store_error("open the store", folder.string(), error.value());
  auto folders = open_store_folders(absolute);
  if (!folders) return fail(folders.error());
  return std::make_unique<DirStore>(std::move(absolute), *std::move(folders));
}

}  // namespace imgrec
