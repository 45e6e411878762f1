#include "lib/local/folder_reader.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <string>
#include <utility>

#include "lib/base/file.hpp"
#include "lib/base/text.hpp"

namespace imgrec {
namespace {

std::unexpected<Error> open_failed(const ObjectReference& object, int error) {
  if (error == EACCES || error == EPERM) {
    return fail(
        ErrorKind::denied, "access_denied",
        "The file of the object may not be read by the service: " + object.bucket + "/" + object.key.str() + ".");
  }
  // A link (ELOOP) is not followed, and a name that is too long names no file: as if they were not there.
  if (error == ENOENT || error == ENOTDIR || error == ELOOP || error == ENAMETOOLONG) {
    return fail(ErrorKind::not_found, "no_such_object",
                "There is no object " + object.key.str() + " in the bucket " + object.bucket + ".");
  }
  return fail(ErrorKind::transient, "file_unreadable", "The file of an object cannot be opened.");
}

class FolderReader final : public ObjectReader {
 public:
  explicit FolderReader(std::filesystem::path root) : root_(std::move(root)) {}

  Result<std::string> read(const ObjectReference& object, std::uint64_t bytes_max, const CallLimits& limits) override {
    if (auto checked = check_object_reference(object); !checked) return fail(checked.error());
    if (!object.version.empty()) {
      return fail(ErrorKind::invalid, "bad_object_reference", "Objects of this machine have no versions: name none.");
    }
    // No part of the key is "..": what is opened step by step without following links is below the bucket's folder.
    Fd at(::open((root_ / object.bucket).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!at.ok()) return open_failed(object, errno);
    const auto parts = split(object.key.str(), '/');
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const bool is_file = i + 1 == parts.size();
      // Without O_NONBLOCK, opening a pipe would wait for whoever writes into it.
      const int flags = is_file ? O_RDONLY | O_NONBLOCK : O_PATH | O_DIRECTORY;
      Fd next(::openat(at.get(), std::string(parts[i]).c_str(), flags | O_NOFOLLOW | O_CLOEXEC));
      if (!next.ok()) return open_failed(object, errno);
      at = std::move(next);
    }
    struct stat status{};
    if (::fstat(at.get(), &status) != 0 || !S_ISREG(status.st_mode)) return open_failed(object, ENOENT);
    auto bytes = read_open_file(at.get(), object.bucket + "/" + object.key.str(), bytes_max, limits.stop);
    if (!bytes && bytes.error().code == "file_too_large") {
      return fail(ErrorKind::invalid, "object_too_large", bytes.error().message);
    }
    return bytes;
  }

 private:
  const std::filesystem::path root_;
};

}  // namespace

std::unique_ptr<ObjectReader> make_folder_reader(std::filesystem::path root) {
  return std::make_unique<FolderReader>(std::move(root));
}

}  // namespace imgrec
