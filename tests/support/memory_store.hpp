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

enum class StoreCall { put, get, head, list, remove };

/// Thread-safe.
class MemoryStore final : public ObjectStore {
 public:
  explicit MemoryStore(Clock& clock) : clock_(clock) {}

  Result<PutOutcome> put(const ObjectKey& key, ByteView bytes, const PutOptions& options) override;
  Result<std::string> get(const ObjectKey& key, std::uint64_t bytes_max) override;
  Result<ObjectInfo> head(const ObjectKey& key) override;
  Result<ListPage> list(std::string_view prefix, std::string_view after, int objects_max) override;
  Result<void> remove(std::span<const ObjectKey> keys) override;

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
  };
  Clock& clock_;
  mutable std::mutex mutex_;
  std::map<std::string, Object> objects_;
  std::map<std::string, int> writes_;
  std::uint64_t bytes_max_ = std::numeric_limits<std::uint64_t>::max();
};

}  // namespace imgrec::test
