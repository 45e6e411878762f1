// An object store in memory with the semantics of lib/ports/object_store.hpp, with injectable faults.
#pragma once

#include <limits>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "lib/base/clock.hpp"
#include "lib/ports/object_store.hpp"
#include "tests/support/faults.hpp"

namespace imgrec::test {

/// Only the bytes, for tests that ask for no more.
inline Result<std::string> bytes_of(Result<StoredObject> object) {
  if (!object) return fail(std::move(object.error()));
  return std::move(object->bytes);
}

enum class StoreCall { put, get, head, list, remove };

/// Thread-safe.
class MemoryStore final : public ObjectStore {
 public:
  explicit MemoryStore(Clock& clock) : clock_(clock) {}

  Result<PutOutcome> put(const ObjectKey& key, ByteView bytes, const PutOptions& options,
                         const CallLimits& limits = {}) override;
  Result<StoredObject> get(const ObjectKey& key, std::uint64_t bytes_max, const CallLimits& limits = {}) override;
  Result<ObjectInfo> head(const ObjectKey& key, const CallLimits& limits = {}) override;
  Result<ListPage> list(std::string_view prefix, std::string_view after, int objects_max,
                        const CallLimits& limits = {}) override;
  Result<void> remove(std::span<const ObjectKey> keys, const CallLimits& limits = {}) override;

  // For tests:
  Faults<StoreCall> faults;
  /// A put that would make the store hold more is transient "disk_full".
  void set_capacity(std::uint64_t bytes_max);
  /// All keys, in order.
  std::vector<ObjectKey> keys() const;
  /// How often an object was really written (not: found there already).
  int writes(const ObjectKey& key) const;

 private:
  struct Object {
    std::string bytes;
    WallTime modified_at{};
    std::string version;
  };
  Clock& clock_;
  mutable std::mutex mutex_;
  std::map<std::string, Object> objects_;
  std::map<std::string, int> writes_;
  std::uint64_t puts_ = 0;
  std::uint64_t bytes_max_ = std::numeric_limits<std::uint64_t>::max();
};

}  // namespace imgrec::test
