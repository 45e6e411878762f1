#include "roles/web/access/key_place.hpp"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "lib/base/digest.hpp"
#include "lib/base/file.hpp"

namespace imgrec {
namespace {

constexpr std::uint64_t kDocumentBytesMax = 4 * kMiB;  // kAccessKeysMax of them
constexpr unsigned kOwnerOnly = 0600;

class KeyFile final : public KeyPlace {
 public:
  explicit KeyFile(std::filesystem::path file) : file_(std::move(file)) {}

  std::string shown() const override { return file_.string(); }

  Result<StoredObject> read(const CallLimits& limits) override {
    auto bytes = read_file(file_, kDocumentBytesMax, limits.stop);
    if (!bytes) return fail(bytes.error());
    std::string version = sha256_hex(*bytes);
    return StoredObject{*std::move(bytes), std::move(version)};
  }

  Result<bool> replace(ByteView document, const std::string& version) override {
    const std::string lock_file = file_.string() + ".lock";
    const Fd lock(::open(lock_file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, kOwnerOnly));
    if (!lock.ok() || ::flock(lock.get(), LOCK_EX) != 0) {
      const int error = errno;
      return fail(error == EACCES || error == EROFS ? ErrorKind::denied : ErrorKind::transient, "file_unwritable",
                  "Cannot lock " + lock_file + ": " + std::strerror(error) + ".");
    }
    const auto present = read({});
    if (!present && present.error().kind != ErrorKind::not_found) return fail(present.error());
    if ((present ? present->version : "") != version) return false;
    return write_file_atomic(file_, document, WriteMode::replace, kOwnerOnly);
  }

 private:
  const std::filesystem::path file_;
};

class KeyObject final : public KeyPlace {
 public:
  explicit KeyObject(std::shared_ptr<ObjectStore> store) : store_(std::move(store)) {}

  std::string shown() const override { return key_.str() + " of the result store"; }

  Result<StoredObject> read(const CallLimits& limits) override { return store_->get(key_, kDocumentBytesMax, limits); }

  Result<bool> replace(ByteView document, const std::string& version) override {
    PutOptions options{.only_if_absent = version.empty(), .content_type = "application/json"};
    if (!version.empty()) options.if_match = version;
    const auto outcome = store_->put(key_, document, options);
    if (!outcome) return fail(outcome.error());
    return *outcome == PutOutcome::stored;
  }

 private:
  const std::shared_ptr<ObjectStore> store_;
  const ObjectKey key_{"access/keys.json"};
};

}  // namespace

std::unique_ptr<KeyPlace> make_key_file(std::filesystem::path file) {
  return std::make_unique<KeyFile>(std::move(file));
}

std::unique_ptr<KeyPlace> make_key_object(std::shared_ptr<ObjectStore> store) {
  return std::make_unique<KeyObject>(std::move(store));
}

}  // namespace imgrec
