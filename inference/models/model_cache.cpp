#include "inference/models/model_cache.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "lib/base/digest.hpp"
#include "lib/base/file.hpp"

namespace imgrec {
namespace {

constexpr std::size_t kEntriesMax = 8;
constexpr std::uint64_t kBytesMax = 1024 * kMiB;
constexpr std::size_t kHeaderBytes = 4096;  // a page: what follows is aligned as the engine wants it
constexpr std::string_view kMagic = "imgrec compiled model 1\n";
constexpr std::string_view kSuffix = ".compiled";

std::string file_name(const std::string& key) {
  return sha256_hex(key).substr(0, 32) + std::string(kSuffix);
}

// The beginning of a file: what it is, what it was made from, and the digest of the rest.
std::string header_of(const std::string& key, ByteView content) {
  std::string header = std::string(kMagic) + sha256_hex(key) + "\n" + sha256_hex(content) + "\n";
  header.resize(kHeaderBytes, '\0');
  return header;
}

bool belongs_to_us(const struct stat& info) {
  return info.st_uid == ::geteuid() && (info.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

// Not open: there is none, or others may write to it.
Fd open_folder(const std::filesystem::path& folder) {
  if (folder.empty()) return {};
  Fd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat info{};
  if (!fd.ok() || ::fstat(fd.get(), &info) != 0 || !belongs_to_us(info)) return {};
  return fd;
}

struct Stored {
  std::string name;
  std::uint64_t bytes = 0;
  timespec used{};
};

std::vector<Stored> list(int folder) {
  std::vector<Stored> all;
  const int again = ::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* entries = again >= 0 ? ::fdopendir(again) : nullptr;
  if (entries == nullptr) return all;
  while (const dirent* entry = ::readdir(entries)) {
    struct stat info{};
    if (!std::string_view(entry->d_name).ends_with(kSuffix)) continue;
    if (::fstatat(folder, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0) continue;
    all.push_back({entry->d_name, static_cast<std::uint64_t>(info.st_size), info.st_mtim});
  }
  ::closedir(entries);
  return all;
}

// The last use of an entry is its time of modification: find() sets it.
void keep_within_bounds(int folder) {
  std::vector<Stored> all = list(folder);
  std::ranges::sort(all, [](const Stored& a, const Stored& b) {
    return a.used.tv_sec != b.used.tv_sec ? a.used.tv_sec > b.used.tv_sec : a.used.tv_nsec > b.used.tv_nsec;
  });
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    bytes += all[i].bytes;
    if (i >= kEntriesMax || (i > 0 && bytes > kBytesMax)) ::unlinkat(folder, all[i].name.c_str(), 0);
  }
}

}  // namespace

std::optional<ModelCache::Entry> ModelCache::find(const std::string& key) const {
  const Fd folder = open_folder(folder_);
  if (!folder.ok()) return std::nullopt;
  const std::string name = file_name(key);
  const Fd fd(::openat(folder.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat info{};
  if (!fd.ok() || ::fstat(fd.get(), &info) != 0 || !belongs_to_us(info)) return std::nullopt;
  auto mapped = MappedFile::of(fd.get(), name, kBytesMax);
  if (!mapped) return std::nullopt;
  const ByteView bytes = mapped->bytes();
  if (bytes.size() <= kHeaderBytes || bytes.substr(0, kHeaderBytes) != header_of(key, bytes.substr(kHeaderBytes))) {
    ::unlinkat(folder.get(), name.c_str(), 0);
    return std::nullopt;
  }
  ::futimens(fd.get(), nullptr);
  return Entry{.file = std::make_shared<const MappedFile>(*std::move(mapped)), .offset = kHeaderBytes};
}

Result<void> ModelCache::store(const std::string& key, ByteView content) const {
  if (folder_.empty() || content.size() > kBytesMax - kHeaderBytes) return {};
  ::mkdir(folder_.c_str(), 0700);  // that it is there and ours is checked below
  const Fd folder = open_folder(folder_);
  if (!folder.ok()) {
    return fail(ErrorKind::denied, "cache_unusable",
                "Compiled models cannot be kept in " + folder_.string() +
                    ": it is no folder that only this user can write to.");
  }
  remove_stale_temporaries(folder.get());
  const std::string name = file_name(key);
  FolderSync folder_sync;  // one writer: nothing to share
  const auto written = write_file_atomic_at({.scratch_folder = folder.get(),
                                             .folder = folder.get(),
                                             .name = name,
                                             .shown = (folder_ / name).string(),
                                             .folder_sync = folder_sync},
                                            header_of(key, content).append(content), WriteMode::replace);
  if (!written) return fail(written.error());
  keep_within_bounds(folder.get());
  return {};
}

void ModelCache::remove(const std::string& key) const {
  const Fd folder = open_folder(folder_);
  if (folder.ok()) ::unlinkat(folder.get(), file_name(key).c_str(), 0);
}

}  // namespace imgrec
