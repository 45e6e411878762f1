#include "lib/local/dir_store.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "lib/base/file.hpp"
#include "lib/base/text.hpp"
#include "lib/local/object_name.hpp"

namespace imgrec {
namespace {

constexpr int kListMax = 1000;
constexpr std::size_t kRemoveMax = 1000;
constexpr int kPutAttempts = 100;  // each loses a race against a remove() that took an empty folder away
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
    objects_.push_back({ObjectKey(key), static_cast<std::uint64_t>(info.st_size), modified_at(info)});
  }

  const std::string prefix_, after_;
  const std::size_t objects_max_;
  std::vector<ObjectInfo> objects_;
  bool more_ = false;
};

class DirStore final : public ObjectStore {
 public:
  DirStore(Fd root, Fd scratch) : root_(std::move(root)), scratch_(std::move(scratch)) {}

  Result<PutOutcome> put(const ObjectKey& key, ByteView bytes, const PutOptions& options) override {
    const auto path = object_path(key.str());
    if (!path) return fail(path.error());
    const WriteMode mode = options.only_if_absent ? WriteMode::only_if_absent : WriteMode::replace;
    for (int attempt = 1;; ++attempt) {
      const Fd folder = open_folders(root_.get(), path->folders, true);
      if (!folder.ok()) {
        if (errno == ENOENT && attempt < kPutAttempts) continue;
        return store_error("store", key.str(), errno);
      }
      const auto written =
          write_file_atomic_at({scratch_.get(), folder.get(), path->file, json_quote(key.str()), sync_}, bytes, mode);
      if (written) return *written ? PutOutcome::stored : PutOutcome::already_there;
      if (written.error().kind == ErrorKind::not_found && attempt < kPutAttempts) continue;
      if (written.error().kind == ErrorKind::denied)
        return fail(ErrorKind::denied, "store_denied", written.error().message);
      if (written.error().code == "disk_full") return fail(written.error());
      return fail(ErrorKind::transient, "store_unavailable", written.error().message);
    }
  }

  Result<std::string> get(const ObjectKey& key, std::uint64_t bytes_max) override {
    const auto file = open_object(key);
    if (!file) return fail(file.error());
    auto bytes = read_open_file(file->get(), json_quote(key.str()), bytes_max);
    if (bytes) return bytes;
    if (bytes.error().kind == ErrorKind::invalid)
      return fail(ErrorKind::invalid, "object_too_large", bytes.error().message);
    return fail(ErrorKind::transient, "store_unavailable", bytes.error().message);
  }

  Result<ObjectInfo> head(const ObjectKey& key) override {
    const auto file = open_object(key);
    if (!file) return fail(file.error());
    struct stat info{};
    if (::fstat(file->get(), &info) != 0) return store_error("read", key.str(), errno);
    return ObjectInfo{key, static_cast<std::uint64_t>(info.st_size), modified_at(info)};
  }

  Result<ListPage> list(std::string_view prefix, std::string_view after, int objects_max) override {
    if (objects_max < 1 || objects_max > kListMax) {
      return fail(ErrorKind::invalid, "bad_page_size", "A page of a listing has 1 to 1000 objects.");
    }
    Lister lister(prefix, after, static_cast<std::size_t>(objects_max));
    if (const int error = lister.walk(open_folders(root_.get(), {}, false), ""); error != 0) {
      return store_error("list", prefix, error);
    }
    return std::move(lister).page();
  }

  Result<void> remove(std::span<const ObjectKey> keys) override {
    if (keys.size() > kRemoveMax) {
      return fail(ErrorKind::invalid, "too_many_keys", "At most 1000 objects are removed at a time.");
    }
    Result<void> first;
    for (const ObjectKey& key : keys) {
      if (auto removed = remove_one(key); !removed && first) first = std::move(removed);
    }
    return first;
  }

 private:
  Result<Fd> open_object(const ObjectKey& key) const {
    const auto path = object_path(key.str());
    if (!path) return fail(path.error());
    // Not blocking: a stranger's named pipe must not hang us.
    Fd file = open_below(root_.get(), path->folders, path->file, O_RDONLY | O_NONBLOCK);
    struct stat info{};
    if (!file.ok() || ::fstat(file.get(), &info) != 0) return store_error("read", key.str(), errno);
    if (!S_ISREG(info.st_mode)) return store_error("read", key.str(), ELOOP);
    return file;
  }

  Result<void> remove_one(const ObjectKey& key) const {
    auto path = object_path(key.str());
    if (!path) return fail(path.error());
    Fd folder = open_folders(root_.get(), path->folders, false);
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
      const Fd parent = open_folders(root_.get(), path->folders, false);
      if (!parent.ok()) continue;
      if (::unlinkat(parent.get(), last.c_str(), AT_REMOVEDIR) != 0) break;
    }
    return {};
  }

  const Fd root_, scratch_;
  FolderSync sync_;
};

}  // namespace

Result<std::unique_ptr<ObjectStore>> open_dir_store(const std::filesystem::path& folder) {
  std::error_code made;
  std::filesystem::create_directories(folder, made);
  Fd root(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root.ok()) return store_error("open the store", folder.string(), errno == ENOENT && made ? made.value() : errno);
  if (::mkdirat(root.get(), kScratchFolder, 0755) != 0 && errno != EEXIST) {
    return store_error("write to the store", folder.string(), errno);
  }
  Fd scratch = open_folder_in(root.get(), kScratchFolder);
  if (!scratch.ok()) return store_error("write to the store", folder.string(), errno);
  remove_stale_temporaries(scratch.get());
  return std::make_unique<DirStore>(std::move(root), std::move(scratch));
}

}  // namespace imgrec
